// SPDX-License-Identifier: Apache-2.0
// Sums over packets, and the checksum that offload metadata leaves to whoever sends a packet to a
// wire (Checksum::kNeeded): filled in here, once for IP, ports and NICs, in place or in the copy
// that is made anyway. All of it traverses payload, and counts it. Thread: the packet's.
#pragma once

#include <cstddef>
#include <span>

#include "packet/packet.h"
#include "packet/pass_counter.h"
#include "wire/checksum.h"
#include "wire/endian.h"

namespace tideline::packet {

// The sum of the bytes [offset, offset + size), which the packet has.
wire::PartialChecksum sum_range(const Packet& packet, std::size_t offset, std::size_t size,
                                PassCounter& passes);

// The same, and copies them to `to` in one traversal.
wire::PartialChecksum copy_and_sum(const Packet& packet, std::size_t offset,
                                   std::span<std::byte> to, PassCounter& passes);

// Fills the checksum in if it is needed. False, and nothing done, if the metadata points beyond the
// packet, or the field lies in borrowed memory: such a packet must not leave.
[[nodiscard]] bool complete_checksum(Packet& packet, PassCounter& passes);

// Copies the whole packet to `to`, which is as long, with the checksum filled in on the way if it
// is needed: one traversal. False if the metadata points beyond the packet: a plain copy then.
[[nodiscard]] bool copy_completed(const Packet& packet, std::span<std::byte> to,
                                  PassCounter& passes);

// What the field at `checksum_offset` must hold, given the sum over what it covers, the field with
// its pseudo-header included. Zero means "none" to UDP (RFC 768), known by its offset, and is sent
// as ffff; to the other protocols that form is no checksum that a sender computes (RFC 1624 §3).
wire::be16 checksum_field(const wire::PartialChecksum& sum, std::size_t checksum_offset);

}  // namespace tideline::packet
