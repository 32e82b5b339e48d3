// SPDX-License-Identifier: Apache-2.0
#include "shim/packetdrill/wire.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <variant>

#include "packet/checksum.h"
#include "packet/copy.h"
#include "shim/packetdrill/timekeeper.h"
#include "wire/arp.h"
#include "wire/ethernet.h"
#include "wire/ndp.h"
#include "wire/protocol.h"

namespace tideline::shim::packetdrill {
namespace {

constexpr wire::MacAddress kOurMac({0x02, 0, 0, 0, 0, 1});
constexpr wire::MacAddress kTheirMac({0x02, 0, 0, 0, 0, 2});
constexpr std::size_t kLongest = 65535;

wire::PartialChecksum transport_sum(std::span<const std::byte> frame,
                                    const wire::PacketLayout& layout) {
  const auto size = static_cast<std::uint32_t>(layout.l4_size());
  wire::PartialChecksum sum;
  if (layout.ip_version == 4 && layout.protocol != wire::kProtocolIcmp) {
    const wire::Ipv4Header& header = layout.ipv4(frame);
    sum = wire::pseudo_header(header.source, header.destination, layout.protocol, size);
  } else if (layout.ip_version == 6) {
    const wire::Ipv6Header& header = layout.ipv6(frame);
    sum = wire::pseudo_header(header.source, header.destination, layout.protocol, size);
  }
  sum.add(frame.subspan(layout.l4, size));
  return sum;
}

// Router and group housekeeping, which scripts know nothing of.
bool is_housekeeping(std::span<const std::byte> frame, const wire::PacketLayout& layout) {
  constexpr std::uint8_t kFirstGroupType = 130;
  constexpr std::uint8_t kLastGroupType = 132;
  constexpr std::uint8_t kGroupReport2 = 143;
  if (layout.protocol == wire::kProtocolIgmp) return true;
  if (layout.protocol != wire::kProtocolIcmpv6 || layout.l4_size() == 0) return false;
  const auto type = std::to_integer<std::uint8_t>(frame[layout.l4]);
  return wire::is_ndp_type(type) || (type >= kFirstGroupType && type <= kLastGroupType) ||
         type == kGroupReport2;
}

}  // namespace

Result<std::unique_ptr<ScriptWire>> ScriptWire::create(std::size_t mtu, port::Pool& pool) {
  auto bell = ring::EventBell::create();
  if (!bell) return fail(std::move(bell.error()));
  port::PortInfo info{
      .name = "packetdrill",
      .mac = kOurMac,
      .mtu = mtu,
      .capabilities = {.tx_checksum = true,
                       .scatter_gather = true,
                       .max_frame = mtu + port::kEthernetHeader + sizeof(wire::VlanHeader)}};
  return std::unique_ptr<ScriptWire>(new ScriptWire(std::move(info), pool, std::move(*bell)));
}

ScriptWire::ScriptWire(port::PortInfo info, port::Pool& pool, ring::EventBell bell)
    : Port(std::move(info)), pool_(pool), bell_(std::move(bell)) {}

bool ScriptWire::inject(std::span<const std::byte> packet) {
  if (packet.empty() || packet.size() > kLongest) return false;
  const auto version = std::to_integer<unsigned>(packet[0]) >> 4;
  if (version != 4 && version != 6) return false;
  return receive(packet, version == 4 ? wire::kEtherTypeIpv4 : wire::kEtherTypeIpv6);
}

bool ScriptWire::receive(std::span<const std::byte> packet, std::uint16_t ether_type) {
  std::vector<std::byte> frame(port::kEthernetHeader + packet.size());
  wire::emit(wire::Ethernet{.destination = kOurMac, .source = kTheirMac, .ether_type = ether_type},
             frame);
  std::ranges::copy(packet, frame.begin() + port::kEthernetHeader);
  port::PacketPtr copy = packet::copy_of(frame, pool_, counters(0).passes);
  if (copy == nullptr) {
    counters(0).drop(port::Drop::kRxPool);
    return false;
  }
  received_.push_back(std::move(copy));
  bell_.ring();
  return true;
}

std::size_t ScriptWire::rx_burst(unsigned queue, port::Burst& burst, Instant now) {
  std::size_t count = 0;
  for (; !received_.empty() && !burst.full(); ++count) {
    received_.front()->meta().timestamp = now;
    counters(queue).received(received_.front()->size());
    burst.push(std::move(received_.front()));
    received_.pop_front();
  }
  if (count > 0 && received_.empty()) bell_.silence();
  return count;
}

std::size_t ScriptWire::tx_burst(unsigned queue, port::Burst& burst, Instant now) {
  port::QueueStats& stats = counters(queue);
  std::size_t taken = 0;
  for (const port::PacketPtr& frame : burst) {
    if (frame == nullptr || !admit(queue, *frame)) continue;
    std::vector<std::byte> copy(frame->size());
    // admit() has seen to it that the metadata makes sense.
    (void)packet::copy_completed(*frame, copy, stats.passes);
    leave(copy, now);
    stats.sent(copy.size());
    ++taken;
  }
  burst.clear();
  return taken;
}

void ScriptWire::leave(std::span<const std::byte> frame, Instant now) {
  const auto layout = wire::parse_layout(frame);
  if (!layout) give_up("the stack has sent what its own parser refuses");
  if (layout->ether_type == wire::kEtherTypeArp) return answer_arp(frame.subspan(layout->l3));
  if (layout->ip_version == 0) return;
  if (!layout->is_fragment()) {
    const bool no_sum = layout->ip_version == 4 && layout->protocol == wire::kProtocolUdp &&
                        layout->udp(frame).checksum.value() == 0;
    if (!no_sum && !transport_sum(frame, *layout).valid()) {
      give_up("the stack has sent a packet with a wrong checksum");
    }
    if (is_housekeeping(frame, *layout)) return answer_ndp(frame, *layout);
  }
  const auto packet = frame.subspan(layout->l3, layout->l3_size());
  const std::scoped_lock lock(mutex_);
  sent_.push_back({.bytes = {packet.begin(), packet.end()}, .at = now});
  has_sent_.notify_all();
}

void ScriptWire::answer_arp(std::span<const std::byte> packet) {
  const auto request = wire::parse_arp(packet);
  if (!request || request->operation != wire::ArpOperation::kRequest || request->is_probe() ||
      request->is_announcement()) {
    return;
  }
  std::array<std::byte, sizeof(wire::ArpHeader)> reply;
  wire::emit(wire::Arp{.operation = wire::ArpOperation::kReply,
                       .sender_mac = kTheirMac,
                       .sender_ip = request->target_ip,
                       .target_mac = request->sender_mac,
                       .target_ip = request->sender_ip},
             reply);
  receive(reply, wire::kEtherTypeArp);
}

void ScriptWire::answer_ndp(std::span<const std::byte> packet, const wire::PacketLayout& layout) {
  if (layout.protocol != wire::kProtocolIcmpv6) return;
  const wire::Ipv6Header& header = layout.ipv6(packet);
  const auto message = packet.subspan(layout.l4, layout.l4_size());
  if (!wire::is_ndp_type(std::to_integer<std::uint8_t>(message[0]))) return;
  const auto ndp = wire::parse_ndp(
      message,
      {.source = header.source, .destination = header.destination, .hop_limit = header.hop_limit});
  const auto* question = ndp ? std::get_if<wire::NeighbourSolicitation>(&*ndp) : nullptr;
  if (question == nullptr || header.source.is_unspecified()) return;
  std::array<std::byte, sizeof(wire::Ipv6Header) + wire::kMaxNdpSize> reply;
  const auto body = std::span(reply).subspan(sizeof(wire::Ipv6Header));
  const std::size_t size = wire::emit(wire::NeighbourAdvertisement{.solicited = true,
                                                                   .override_cache = true,
                                                                   .target = question->target,
                                                                   .target_mac = kTheirMac},
                                      body);
  wire::emit(wire::Ipv6{.payload_length = static_cast<std::uint16_t>(size),
                        .next_header = wire::kProtocolIcmpv6,
                        .hop_limit = wire::kNdpHopLimit,
                        .source = question->target,
                        .destination = header.source},
             reply);
  auto sum = wire::pseudo_header(question->target, header.source, wire::kProtocolIcmpv6,
                                 static_cast<std::uint32_t>(size));
  sum.add(body.first(size));
  const wire::be16 field(sum.checksum());
  std::ranges::copy(std::as_bytes(std::span(&field, 1)), body.begin() + 2);
  receive(std::span(reply).first(sizeof(wire::Ipv6Header) + size), wire::kEtherTypeIpv6);
}

std::optional<SentPacket> ScriptWire::take() { return wait(Duration(0)); }

std::optional<SentPacket> ScriptWire::wait(Duration patience) {
  std::unique_lock lock(mutex_);
  if (!has_sent_.wait_for(lock, patience, [this] { return !sent_.empty(); })) return std::nullopt;
  SentPacket first = std::move(sent_.front());
  sent_.pop_front();
  return first;
}

}  // namespace tideline::shim::packetdrill
