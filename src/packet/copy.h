// SPDX-License-Identifier: Apache-2.0
// Everything here traverses payload, and counts it. Who can do without should. Thread: the
// packet's.
#pragma once

#include <cstddef>
#include <span>

#include "packet/packet.h"
#include "packet/pass_counter.h"
#include "packet/pool.h"

namespace tideline::packet {

// Copies `from` over the bytes at `offset`, which the packet has and owns.
void copy_in(Packet& packet, std::size_t offset, std::span<const std::byte> from,
             PassCounter& passes);
// Copies the bytes at `offset`, which the packet has, to `to`.
void copy_out(const Packet& packet, std::size_t offset, std::span<std::byte> to,
              PassCounter& passes);
// A packet of `pool` with these bytes; null if it is exhausted.
PacketPtr copy_of(std::span<const std::byte> bytes, Pool& pool, PassCounter& passes);
// A packet with the bytes [offset, offset + size) of `packet`, size > 0; null if `pool` is
// exhausted.
PacketPtr copy_of(const Packet& packet, std::size_t offset, std::size_t size, Pool& pool,
                  PassCounter& passes);
// A packet with the same bytes and metadata, all in memory of `pool`; null if it is exhausted.
PacketPtr copy_of(const Packet& packet, Pool& pool, PassCounter& passes);

}  // namespace tideline::packet
