// SPDX-License-Identifier: Apache-2.0
// Packets on their way out: made in one allocation, sent through IP or, to ourselves, through a
// queue. Inside the room. Thread: the engine's lock.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "packet/packet.h"
#include "rdma/core.h"
#include "rdma/transfer.h"
#include "wire/roce.h"

namespace tideline::rdma {

// A frame being made: headers written, pad and ICRC zero, payload for the caller to write.
struct Outgoing {
  packet::PacketPtr packet;
  std::uint32_t header_size = 0;

  explicit operator bool() const { return packet != nullptr; }
  PacketCursor payload() { return {*packet, header_size}; }
};

// `headers` but for the pad count. Empty, and counted, if the pool is exhausted.
Outgoing make_packet(Core& core, wire::Roce headers, std::uint32_t payload_size);

// Sends the frame, of packets of up to `mtu` bytes. What IP refuses is counted, and lost.
void send_packet(Core& core, Outgoing outgoing, const Route& route, std::uint32_t mtu, Instant now);

// Packets of the path MTU that a frame may span, and how many a message of `length` bytes takes.
std::uint32_t packets_per_frame(const Core& core, std::uint32_t mtu);
constexpr std::uint32_t packets_of(std::uint64_t length, std::uint32_t mtu) {
  return length == 0 ? 1 : static_cast<std::uint32_t>((length + mtu - 1) / mtu);
}

}  // namespace tideline::rdma
