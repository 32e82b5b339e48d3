// SPDX-License-Identifier: Apache-2.0
// A whole host under a hostile link: frames as they come or mended so that they get past lengths
// and checksums, time that passes, and traffic of our own between. Held at every step: tables keep
// their bounds, timers get ahead, what is sent is in order and fits the link, and nothing that came
// to a group is answered; at the end every packet is back in its pool.
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/check.h"
#include "ip/frame.h"
#include "ip/stack.h"
#include "packet/copy.h"
#include "script.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/icmp.h"
#include "wire/icmpv6.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/ipv6_extensions.h"
#include "wire/ndp.h"
#include "wire/packet_layout.h"
#include "wire/protocol.h"
#include "wire/udp.h"

namespace tideline::ip {
namespace {

using script::Operation;
using wire::ByteVector;
using wire::Ipv4Address;
using wire::Ipv6Address;
using wire::MacAddress;

// The receiver of the packets from which the fuzzer starts.
constexpr MacAddress kMac({2, 0, 0, 0, 0, 2});
constexpr Ipv4Address kOurs4(192, 0, 2, 2);
constexpr Ipv4Address kPeer4(192, 0, 2, 1);
constexpr Ipv6Address kOurs6(0x20010db800000000, 2);
constexpr Ipv6Address kPeer6(0x20010db800000000, 1);
constexpr std::uint16_t kMtu = 1500;
constexpr std::uint16_t kPort = 4242;
constexpr std::uint16_t kEcho = 7;

// Small, so that a few frames fill them.
constexpr std::size_t kSegments = 256;
constexpr NeighbourOptions kNeighbours{.capacity = 4, .waiting_segments = 16};
constexpr ReassemblyOptions kReassembly{.datagrams = 4,
                                        .pieces = 24,
                                        .pieces_per_datagram = 12,
                                        .segments = 32,
                                        .segments_per_source = 16};
constexpr StackOptions kOptions{.mac = kMac,
                                .mtu = kMtu,
                                .ndp = {.neighbours = kNeighbours, .duplicate_probes = 0},
                                .arp = kNeighbours,
                                .address_probe = {.probes = 0, .announcements = 1},
                                .reassembly = kReassembly,
                                .path_mtu = {.capacity = 4},
                                .errors = {.destinations = 4}};

packet::Pool& shared_pool() {
  static const std::unique_ptr<packet::Pool> pool = [] {
    auto made = packet::Pool::create({.segments = kSegments, .loans = 64, .huge_pages = false});
    CHECK(made.has_value(), "{}", made.error().message());
    return std::move(*made);
  }();
  return *pool;
}

void mend_ipv4(wire::MutableBytes packet, bool ours) {
  if (packet.size() < sizeof(wire::Ipv4Header)) return;
  auto& header = wire::view_as<wire::Ipv4Header>(packet);
  if (ours) {
    header.total_length = wire::be16(static_cast<std::uint16_t>(packet.size()));
    header.source = kPeer4;
    if (!header.destination.is_multicast()) header.destination = kOurs4;
  }
  const std::size_t header_size = header.header_size();
  if (header_size < sizeof(wire::Ipv4Header) || header_size > packet.size()) return;
  header.checksum = wire::be16(0);
  header.checksum = wire::be16(wire::checksum(packet.first(header_size)));
  const std::size_t end = std::min<std::size_t>(packet.size(), header.total_length.value());
  if (header.is_fragment() || end < header_size) return;
  const wire::MutableBytes message = packet.subspan(header_size, end - header_size);
  if (header.protocol == wire::kProtocolUdp && message.size() >= sizeof(wire::UdpHeader)) {
    auto& udp = wire::view_as<wire::UdpHeader>(message);
    if (ours) udp.length = wire::be16(static_cast<std::uint16_t>(message.size()));
    udp.checksum = wire::be16(0);  // none
  } else if (header.protocol != wire::kProtocolUdp && message.size() >= 4) {
    auto& sum = wire::view_as<wire::be16>(message.subspan(2));  // ICMP and IGMP alike
    sum = wire::be16(0);
    sum = wire::be16(wire::checksum(message));
  }
}

void mend_ipv6(wire::MutableBytes packet, bool ours) {
  if (packet.size() < sizeof(wire::Ipv6Header)) return;
  auto& header = wire::view_as<wire::Ipv6Header>(packet);
  if (ours) {
    const std::size_t payload = packet.size() - sizeof(wire::Ipv6Header);
    header.payload_length = wire::be16(static_cast<std::uint16_t>(payload));
    if (!header.source.is_link_local() && !header.source.is_unspecified()) header.source = kPeer6;
    if (!header.destination.is_multicast()) header.destination = kOurs6;
  }
  const std::size_t end = std::min<std::size_t>(
      packet.size(), sizeof(wire::Ipv6Header) + header.payload_length.value());
  const auto upper = wire::find_ipv6_upper_layer(packet.first(end));
  if (!upper) return;
  const wire::MutableBytes message = packet.subspan(upper->at, end - upper->at);
  std::size_t sum_at = 2;
  if (upper->protocol == wire::kProtocolUdp) {
    if (message.size() < sizeof(wire::UdpHeader)) return;
    if (ours) {
      wire::view_as<wire::UdpHeader>(message).length =
          wire::be16(static_cast<std::uint16_t>(message.size()));
    }
    sum_at = offsetof(wire::UdpHeader, checksum);
  }
  if (message.size() < sum_at + 2) return;
  auto& field = wire::view_as<wire::be16>(message.subspan(sum_at));
  field = wire::be16(0);
  auto sum = wire::pseudo_header(header.source, header.destination, upper->protocol,
                                 static_cast<std::uint32_t>(message.size()));
  sum.add(message);
  field = wire::be16(wire::udp_checksum_field(sum.checksum()));
}

// Puts right what keeps a frame from the code behind the parsers; `ours`: its addresses and lengths
// too.
void mend(ByteVector& frame, bool ours) {
  if (frame.size() < sizeof(wire::EthernetHeader)) return;
  auto& ethernet = wire::view_as<wire::EthernetHeader>(wire::MutableBytes(frame));
  if (ours && !ethernet.destination.is_multicast()) ethernet.destination = kMac;
  const wire::MutableBytes packet = wire::MutableBytes(frame).subspan(sizeof(wire::EthernetHeader));
  if (ethernet.ether_type == wire::be16(wire::kEtherTypeIpv4)) mend_ipv4(packet, ours);
  if (ethernet.ether_type == wire::be16(wire::kEtherTypeIpv6)) mend_ipv6(packet, ours);
}

class World final : public Output,
                    public Events,
                    public EchoHandler,
                    public UdpHandler,
                    public ProtocolHandler {
 public:
  World() : pool_(shared_pool()), rng_(1), stack_(kOptions, pool_, rng_, *this, *this) {
    CHECK(stack_.add_address(wire::Ipv4Prefix{kOurs4, 24}, now_).has_value());
    CHECK(stack_.add_address(wire::Ipv6Prefix{kOurs6, 64}, now_).has_value());
    CHECK(stack_.add_address(wire::Ipv6Prefix{Ipv6Address(0xfe80000000000000, 2), 64}, now_)
              .has_value());
    stack_.configure_ipv6(now_);
    CHECK(stack_.join(Ipv6Address::mapped(Ipv4Address(224, 0, 0, 251)), now_).has_value());
    for (const Ipv4Address gateway : {kPeer4, Ipv4Address(192, 0, 2, 77)}) {
      CHECK(stack_.add_gateway(Ipv6Address::mapped(gateway), now_).has_value());
    }
    CHECK(stack_.udp().bind({.port = kPort}, *this).has_value());
    CHECK(stack_.open_echo(kEcho, *this));
    stack_.grh().set_handler(this);
  }

  void run(const script::Step& step) {
    switch (step.operation) {
      case Operation::kFrame:
      case Operation::kMendedFrame:
      case Operation::kSummedFrame:
        arrive(step);
        break;
      case Operation::kWait:
        if (step.bytes.size() >= 2) {
          wait(std::chrono::milliseconds(10) * wire::view_as<wire::be16>(step.bytes).value());
        }
        break;
      case Operation::kPing:
      case Operation::kSend:
        send(step);
        break;
    }
    check_bounds();
  }

  // Everything that waits has an end.
  void finish() {
    wait(std::chrono::minutes(3));
    CHECK(pool_.in_use() == 0, "{} segments are left", pool_.in_use());
    CHECK(stack_.reassembler().datagrams() == 0);
  }

 private:
  void arrive(const script::Step& step) {
    if (step.bytes.empty()) return;
    ByteVector frame(step.bytes.begin(), step.bytes.end());
    if (step.operation != Operation::kFrame) {
      mend(frame, step.operation == Operation::kMendedFrame);
    }
    packet::PassCounter passes;
    packet::PacketPtr packet = packet::copy_of(frame, pool_, passes);
    CHECK(packet != nullptr, "{} segments in use", pool_.in_use());
    silent_ = must_be_silent(frame);
    stack_.receive(std::move(packet), now_);
    silent_ = false;
  }

  // RFC 1122 §3.2.2, RFC 4443 §2.4: what came to many is not answered. Neighbours' talk is, and may
  // set free what waited for it.
  static bool must_be_silent(const ByteVector& frame) {
    const auto layout = wire::parse_layout(frame);
    if (!layout || layout->is_fragment() || layout->ip_version == 0) return false;
    if (layout->ip_version == 4) {
      return layout->cast != wire::LinkCast::kUnicast && layout->protocol != wire::kProtocolIgmp;
    }
    if (layout->protocol != wire::kProtocolIcmpv6) return layout->cast != wire::LinkCast::kUnicast;
    const wire::Bytes message = layout->l4_bytes(frame);
    return layout->cast != wire::LinkCast::kUnicast && !message.empty() &&
           std::to_integer<unsigned>(message[0]) == 128;
  }

  void wait(Duration duration) {
    const Instant end = now_ + duration;
    for (int runs = 0; stack_.next_deadline() <= end; ++runs) {
      CHECK(runs < 10000, "timers do not get ahead");
      now_ = std::max(now_, stack_.next_deadline());
      stack_.run_timers(now_);
    }
    now_ = end;
  }

  void send(const script::Step& step) {
    if (step.bytes.empty()) return;
    // To a peer that may not be there, or far away, over either version.
    const auto whom = std::to_integer<std::uint8_t>(step.bytes[0]);
    const Ipv6Address to = (whom & 1) != 0
                               ? Ipv6Address(0x20010db800000000, whom)
                               : Ipv6Address::mapped(Ipv4Address(192, 0, whom & 2, whom));
    packet::PassCounter passes;
    const wire::Bytes data = step.bytes.subspan(1);
    packet::PacketPtr packet = data.empty() ? pool_.get() : packet::copy_of(data, pool_, passes);
    CHECK(packet != nullptr);
    if (step.operation == Operation::kPing) {
      (void)stack_.ping(std::move(packet), to, kEcho, 1, now_);
      return;
    }
    const auto source = stack_.source_for(to);
    if (!source) return;
    (void)stack_.udp().send(
        std::move(packet),
        {.source = {.address = *source, .port = kPort}, .destination = {.address = to, .port = 9}},
        now_);
  }

  void check_bounds() const {
    CHECK(stack_.arp().neighbours().size() <= kNeighbours.capacity);
    CHECK(stack_.ndp().neighbours().size() <= kNeighbours.capacity);
    CHECK(stack_.arp().first_hops().size() == 2, "only their owner takes gateways away");
    CHECK(stack_.arp().first_hops().redirects() <= FirstHops<Ipv4Address>::kMaxRedirects);
    CHECK(stack_.ndp().first_hops().size() <= FirstHops<Ipv6Address>::kMaxRouters);
    CHECK(stack_.ndp().first_hops().redirects() <= FirstHops<Ipv6Address>::kMaxRedirects);
    CHECK(stack_.reassembler().datagrams() <= kReassembly.datagrams);
    CHECK(stack_.reassembler().segments() <= kReassembly.segments);
    const std::size_t most = kReassembly.segments + 2 * kNeighbours.waiting_segments;
    CHECK(pool_.in_use() <= most, "{} segments in use", pool_.in_use());
  }

  void transmit(packet::PacketPtr frame, Instant /*now*/) override {
    packet::PassCounter passes;
    CHECK(complete_checksum(*frame, passes), "a frame of ours points beyond itself");
    CHECK(!silent_, "a datagram to a group was answered");
    CHECK(frame->size() <= kMtu + sizeof(wire::EthernetHeader), "{} bytes", frame->size());
    ByteVector bytes(frame->size());
    packet::copy_out(*frame, 0, bytes, passes);
    const auto layout = wire::parse_layout(bytes);
    CHECK(layout.has_value(), "sent: {}", explain(layout.error().reason));
  }
  void echo_replied(EchoReply /*reply*/, Instant /*now*/) override {}
  void echo_failed(const PathError& /*error*/, Instant /*now*/) override {}
  // Half of what comes goes back, which holds for as long as the other half: nothing.
  void receive(packet::PacketPtr payload, const UdpPath& path, Instant now) override {
    if (payload->size() % 2 == 0 || path.destination.address.is_multicast()) return;
    const auto source = stack_.source_for(path.source.address);
    if (!source || silent_) return;
    (void)stack_.udp().send(
        std::move(payload),
        {.source = {.address = *source, .port = kPort}, .destination = path.source}, now);
  }
  void failed(const PathError& /*error*/, Instant /*now*/) override {}
  // RoCE v1: what comes goes back.
  void receive(packet::PacketPtr packet, const Datagram& datagram, Instant now) override {
    packet->truncate(datagram.layout.end);
    packet->trim_front(datagram.layout.payload);
    if (silent_) return;
    (void)stack_.send(std::move(packet),
                      {.source = datagram.destination,
                       .destination = datagram.source,
                       .protocol = wire::kProtocolGrh},
                      now);
  }
  bool recognises(const PathError& /*error*/) const override { return false; }

  packet::Pool& pool_;
  Instant now_{std::chrono::hours(1)};
  Rng rng_;
  bool silent_ = false;
  Stack stack_;
};

}  // namespace
}  // namespace tideline::ip

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline;
  wire::Bytes rest = std::as_bytes(std::span(data, size));
  ip::World world;
  while (const auto step = ip::script::next(rest)) world.run(*step);
  world.finish();
  return 0;
}
