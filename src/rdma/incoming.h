// SPDX-License-Identifier: Apache-2.0
// A packet that has come for a queue pair, parsed and intact; or a frame that stands for several.
// Inside the room. Thread: the engine's lock.
#pragma once

#include <cstdint>

#include "packet/packet.h"
#include "rdma/psn.h"
#include "rdma/transfer.h"
#include "wire/roce.h"

namespace tideline::rdma {

struct Incoming {
  packet::Packet& packet;
  wire::Roce headers;
  std::size_t payload_at = 0;      // offset of the payload in the packet
  std::uint32_t payload_size = 0;  // with pad, without ICRC
  std::uint32_t packets = 1;       // PSNs that the frame spans
  bool is_super = false;           // its payload may exceed the path MTU
  bool starts = true;              // not those of the opcode once the front was skipped
  std::size_t ip_at = 0;           // offset of the IP header
  std::size_t ip_size = 0;         // 0: the packet never had one
  GidType type = GidType::kRoceV2;
  wire::Ipv6Address source;
  wire::Ipv6Address destination;
  std::uint8_t traffic_class = 0;
  std::uint8_t hop_limit = 0;

  const wire::RoceOpcode& info() const { return headers.info(); }
  Psn psn() const { return Psn(headers.psn); }
  // C9-...: the pad must lie within the payload.
  bool is_pad_valid() const { return headers.pad <= payload_size; }
  std::uint32_t size() const { return payload_size - headers.pad; }
  PacketCursor payload() const { return {packet, payload_at}; }

  // Forgets the first packets, which were received before; fewer than all.
  void skip(std::uint32_t count, std::uint32_t mtu) {
    headers.psn = (psn() + count).value();
    payload_at += std::size_t{count} * mtu;
    payload_size -= count * mtu;
    packets -= count;
    starts = false;
  }
};

}  // namespace tideline::rdma
