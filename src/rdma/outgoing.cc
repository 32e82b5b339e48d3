// SPDX-License-Identifier: Apache-2.0
#include "rdma/outgoing.h"

#include <algorithm>
#include <utility>

#include "wire/ipv6.h"
#include "wire/protocol.h"
#include "wire/udp.h"

namespace tideline::rdma {

using packet::Offload;
using packet::PacketPtr;
using wire::UdpHeader;

namespace {

// Everything in front of the payload and behind it, at most.
constexpr std::uint32_t kMostHeaders = sizeof(wire::Ipv6Header) + sizeof(UdpHeader) + 48 + 4;

void zero_tail(packet::Packet& packet, std::size_t offset) {
  PacketCursor tail(packet, offset);
  for (std::size_t left = packet.size() - offset; left > 0;) {
    const auto part = tail.take_writable(left);
    std::ranges::fill(part, std::byte{});
    left -= part.size();
  }
}

// Annex A17.9.1: destination port 4791, no checksum, for the ICRC covers more.
bool prepend_udp(Core& core, PacketPtr& packet, const Route& route) {
  const std::size_t size = sizeof(UdpHeader) + packet->size();
  std::byte* front = packet->prepend(sizeof(UdpHeader));
  if (front == nullptr) {
    core.counters.add(Counter::kPoolExhausted);
    return false;
  }
  wire::emit(wire::Udp{.source_port = route.source_port,
                       .destination_port = wire::kRocePort,
                       .length = static_cast<std::uint16_t>(size),
                       .checksum = 0},
             {front, sizeof(UdpHeader)});
  return true;
}

}  // namespace

Outgoing make_packet(Core& core, wire::Roce headers, std::uint32_t payload_size) {
  headers.pad = static_cast<std::uint8_t>((4 - payload_size % 4) % 4);
  const std::uint32_t header_size = headers.info().header_size;
  const std::size_t tail = headers.pad + wire::kIcrcSize;
  Outgoing outgoing{.packet = core.pool.get_chain(header_size + payload_size + tail),
                    .header_size = header_size};
  if (!outgoing) {
    core.counters.add(Counter::kPoolExhausted);
    return outgoing;
  }
  wire::emit(headers, outgoing.packet->first().writable());
  zero_tail(*outgoing.packet, header_size + payload_size);
  return outgoing;
}

void send_packet(Core& core, Outgoing outgoing, const Route& route, std::uint32_t mtu,
                 Instant now) {
  PacketPtr packet = std::move(outgoing.packet);
  const std::size_t payload = packet->size() - outgoing.header_size - wire::kIcrcSize;
  core.counters.add(Counter::kTxPackets, packets_of(payload, mtu));
  core.counters.add(Counter::kTxBytes, payload);
  // The checksum that is needed is the ICRC: of a frame of this type nothing else is.
  Offload& offload = packet->meta().offload;
  offload.gso = packet::Gso::kRoce;
  offload.gso_size = static_cast<std::uint16_t>(mtu);
  offload.checksum = packet::Checksum::kNeeded;
  offload.checksum_start = 0;
  offload.checksum_offset = offsetof(UdpHeader, checksum);
  const bool has_udp = route.type == GidType::kRoceV2;
  offload.header_length = wire::kBthSize + (has_udp ? sizeof(UdpHeader) : 0);
  if (route.loopback) {
    if (!core.loopback.push(std::move(packet), route)) core.counters.add(Counter::kDropLoopback);
    return;
  }
  if (has_udp && !prepend_udp(core, packet, route)) return;
  const auto sent = core.sender.send(std::move(packet),
                                     {.source = route.source,
                                      .destination = route.destination,
                                      .protocol = has_udp ? wire::kProtocolUdp : wire::kProtocolGrh,
                                      .hop_limit = route.hop_limit,
                                      .traffic_class = route.traffic_class},
                                     now);
  if (!sent) core.counters.add(Counter::kDropSend);
}

std::uint32_t packets_per_frame(const Core& core, std::uint32_t mtu) {
  const std::uint32_t most = std::min(core.options.max_frame, 65535 - kMostHeaders);
  return std::max(most / mtu, 1U);
}

}  // namespace tideline::rdma
