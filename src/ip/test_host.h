// SPDX-License-Identifier: Apache-2.0
// A host for tests: a stack with a pool and a clock of its own, whose frames are kept as bytes; and
// a writer of the frames that others send it.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "ip/frame.h"
#include "ip/stack.h"
#include "packet/copy.h"
#include "packet/pool.h"
#include "wire/arp.h"
#include "wire/ethernet.h"
#include "wire/icmp.h"
#include "wire/icmpv6.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/ndp.h"
#include "wire/protocol.h"
#include "wire/test_bytes.h"
#include "wire/udp.h"

namespace tideline::ip {

using wire::behind;
using wire::ByteVector;
using wire::cut;
using wire::Ipv4Address;
using wire::Ipv6Address;
using wire::MacAddress;
using wire::operator+;
using wire::with;

inline constexpr MacAddress kOurMac({2, 0, 0, 0, 0, 1});
inline constexpr MacAddress kPeerMac({2, 0, 0, 0, 0, 2});
inline constexpr MacAddress kOtherMac({2, 0, 0, 0, 0, 3});
inline constexpr Ipv4Address kOurs4(192, 0, 2, 1);
inline constexpr Ipv4Address kPeer4(192, 0, 2, 2);
inline constexpr Ipv4Address kOther4(192, 0, 2, 3);
inline constexpr Ipv4Address kFar4(198, 51, 100, 7);
inline constexpr Ipv6Address kOurs6(0x20010db800000000, 1);
inline constexpr Ipv6Address kPeer6(0x20010db800000000, 2);
inline constexpr Ipv6Address kOther6(0x20010db800000000, 3);

inline ByteVector contents(const packet::Packet& packet) {
  packet::PassCounter passes;
  ByteVector bytes(packet.size());
  packet::copy_out(packet, 0, bytes, passes);
  return bytes;
}

inline ByteVector pattern(std::size_t size, std::uint64_t seed) {
  Rng rng(seed);
  ByteVector bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng());
  return bytes;
}

// A frame, layer by layer; lengths and checksums are filled in, for tests to spoil afterwards.
inline ByteVector ethernet(std::uint16_t ether_type, const ByteVector& payload,
                           const MacAddress& to = kOurMac, const MacAddress& from = kPeerMac) {
  ByteVector frame(sizeof(wire::EthernetHeader));
  wire::emit(wire::Ethernet{.destination = to, .source = from, .ether_type = ether_type}, frame);
  return std::move(frame) + payload;
}

inline ByteVector ipv4(wire::Ipv4 header, const ByteVector& payload) {
  header.total_length = static_cast<std::uint16_t>(header.header_size() + payload.size());
  ByteVector packet(header.header_size());
  wire::emit(header, packet);
  return ethernet(wire::kEtherTypeIpv4, std::move(packet) + payload);
}

inline ByteVector ipv4(std::uint8_t protocol, const ByteVector& payload) {
  return ipv4({.protocol = protocol, .source = kPeer4, .destination = kOurs4}, payload);
}

inline ByteVector ipv6(wire::Ipv6 header, const ByteVector& payload) {
  header.payload_length = static_cast<std::uint16_t>(payload.size());
  ByteVector packet(sizeof(wire::Ipv6Header));
  wire::emit(header, packet);
  return ethernet(wire::kEtherTypeIpv6, std::move(packet) + payload);
}

inline ByteVector ipv6(std::uint8_t next_header, const ByteVector& payload) {
  return ipv6({.next_header = next_header, .source = kPeer6, .destination = kOurs6}, payload);
}

inline ByteVector icmp(const wire::Icmp& message, const ByteVector& data) {
  ByteVector bytes(sizeof(wire::IcmpHeader));
  wire::emit(message, bytes);
  bytes = std::move(bytes) + data;
  wire::view_as<wire::IcmpHeader>(wire::MutableBytes(bytes)).checksum =
      wire::be16(wire::checksum(bytes));
  return bytes;
}

inline void fill_icmpv6_checksum(ByteVector& message, const Ipv6Address& source,
                                 const Ipv6Address& destination) {
  auto& header = wire::view_as<wire::Icmpv6Header>(wire::MutableBytes(message));
  header.checksum = wire::be16(0);
  auto sum = wire::pseudo_header(source, destination, wire::kProtocolIcmpv6,
                                 static_cast<std::uint32_t>(message.size()));
  sum.add(message);
  header.checksum = wire::be16(sum.checksum());
}

inline ByteVector icmpv6(const wire::Icmpv6& message, const ByteVector& data,
                         const Ipv6Address& source = kPeer6,
                         const Ipv6Address& destination = kOurs6) {
  ByteVector bytes(sizeof(wire::Icmpv6Header));
  wire::emit(message, bytes);
  bytes = std::move(bytes) + data;
  fill_icmpv6_checksum(bytes, source, destination);
  return bytes;
}

inline ByteVector ndp(const wire::Ndp& message, const Ipv6Address& source,
                      const Ipv6Address& destination) {
  ByteVector bytes(wire::kMaxNdpSize);
  bytes.resize(wire::emit(message, bytes));
  fill_icmpv6_checksum(bytes, source, destination);
  return ipv6({.next_header = wire::kProtocolIcmpv6,
               .hop_limit = wire::kNdpHopLimit,
               .source = source,
               .destination = destination},
              bytes);
}

inline ByteVector arp(const wire::Arp& message, const MacAddress& to = kOurMac) {
  ByteVector bytes(sizeof(wire::ArpHeader));
  wire::emit(message, bytes);
  return ethernet(wire::kEtherTypeArp, bytes, to, message.sender_mac);
}

// A UDP datagram over IPv4 from the peer to us, or over IPv6 if `six`; checksum 0 leaves it out.
inline ByteVector udp(wire::Udp header, const ByteVector& data, bool six, bool summed = true) {
  header.length = static_cast<std::uint16_t>(sizeof(wire::UdpHeader) + data.size());
  ByteVector bytes(sizeof(wire::UdpHeader));
  wire::emit(header, bytes);
  bytes = std::move(bytes) + data;
  if (!summed) return bytes;
  auto sum = six ? wire::pseudo_header(kPeer6, kOurs6, wire::kProtocolUdp, header.length)
                 : wire::pseudo_header(kPeer4, kOurs4, wire::kProtocolUdp, header.length);
  sum.add(bytes);
  wire::view_as<wire::UdpHeader>(wire::MutableBytes(bytes)).checksum =
      wire::be16(wire::udp_checksum_field(sum.checksum()));
  return bytes;
}

inline std::unique_ptr<packet::Pool> make_pool(std::size_t segments, std::size_t loans) {
  auto pool = packet::Pool::create({.segments = segments, .loans = loans, .huge_pages = false});
  EXPECT_TRUE(pool.has_value()) << pool.error().message();
  return std::move(*pool);
}

// Addresses serve at once, and groups are joined without a word.
inline constexpr StackOptions kTestStack{.mac = kOurMac,
                                         .ndp = {.duplicate_probes = 0},
                                         .address_probe = {.probes = 0, .announcements = 1},
                                         .group_reports = false};

class TestHost final : public Output, public Events {
 public:
  explicit TestHost(const StackOptions& options = kTestStack)
      : pool(make_pool(2048, 512)), rng(42), stack(options, *pool, rng, *this, *this) {}

  // 192.0.2.1/24 and 2001:db8::1/64, with default routes to the peer; what they send is forgotten.
  static std::unique_ptr<TestHost> configured(const StackOptions& options = kTestStack) {
    auto host = std::make_unique<TestHost>(options);
    EXPECT_TRUE(host->stack.add_address(wire::Ipv4Prefix{kOurs4, 24}, host->now));
    EXPECT_TRUE(host->stack.add_address(wire::Ipv6Prefix{kOurs6, 64}, host->now));
    host->stack.routes4().add({.destination = {}, .gateway = kPeer4});
    host->stack.routes6().add({.destination = {}, .gateway = kPeer6});
    host->sent.clear();
    return host;
  }
  // And has learnt where the peer is.
  static std::unique_ptr<TestHost> acquainted(const StackOptions& options = kTestStack) {
    auto host = configured(options);
    host->meet_peer();
    return host;
  }

  // The peer asks for us over both versions, so that it is known for some seconds at least; what
  // was sent is forgotten.
  void meet_peer() {
    receive(arp({.operation = wire::ArpOperation::kRequest,
                 .sender_mac = kPeerMac,
                 .sender_ip = kPeer4,
                 .target_ip = kOurs4}));
    receive(
        ndp(wire::NeighbourSolicitation{.target = kOurs6, .source_mac = kPeerMac}, kPeer6, kOurs6));
    EXPECT_GE(sent.size(), 2U);
    sent.clear();
  }

  void receive(const ByteVector& frame) {
    packet::PassCounter passes;
    packet::PacketPtr packet = packet::copy_of(frame, *pool, passes);
    ASSERT_NE(packet, nullptr);
    stack.receive(std::move(packet), now);
  }

  // Time passes; timers run when they are due, and not one of them for ever.
  void advance(Duration duration) {
    const Instant end = now + duration;
    for (int runs = 0; stack.next_deadline() <= end; ++runs) {
      ASSERT_LT(runs, 10000) << "timers do not get ahead";
      now = std::max(now, stack.next_deadline());
      stack.run_timers(now);
    }
    now = end;
  }

  ByteVector next_sent() {
    if (sent.empty()) {
      ADD_FAILURE() << "nothing was sent";
      return ByteVector(64);
    }
    ByteVector frame = std::move(sent.front());
    sent.pop_front();
    return frame;
  }

  std::uint64_t drops(Discard reason) const { return stack.drops().of(reason); }
  std::uint64_t drops(wire::DropReason reason) const { return stack.drops().of(reason); }

  packet::PacketPtr packet_of(const ByteVector& bytes) {
    packet::PassCounter passes;
    if (bytes.empty()) return pool->get();
    return packet::copy_of(bytes, *pool, passes);
  }

  void transmit(packet::PacketPtr frame, Instant /*now*/) override {
    packet::PassCounter passes;
    offload = frame->meta().offload;
    EXPECT_TRUE(packet::complete_checksum(*frame, passes));
    sent.push_back(contents(*frame));
  }
  void address_conflict(const Ipv6Address& address, const MacAddress& other,
                        Instant /*now*/) override {
    conflicts.emplace_back(address, other);
  }
  void address_ready(const Ipv6Address& address, Instant /*now*/) override {
    ready.push_back(address);
  }

  std::deque<ByteVector> sent;
  packet::Offload offload;  // of the last frame that left, as it left
  std::vector<std::pair<Ipv6Address, MacAddress>> conflicts;
  std::vector<Ipv6Address> ready;
  Instant now{std::chrono::hours(1)};
  std::unique_ptr<packet::Pool> pool;
  Rng rng;
  Stack stack;
};

// All drops, of whatever reason.
inline std::uint64_t total_drops(const DropCounters& drops) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < wire::kDropReasonCount; ++i) {
    sum += drops.of(static_cast<wire::DropReason>(i));
  }
  for (std::size_t i = 0; i < kDiscardCount; ++i) sum += drops.of(static_cast<Discard>(i));
  return sum;
}

// Whatever has come: the host answers an honest peer over both IP versions, and holds no packet.
inline void expect_healthy(TestHost& host) {
  host.sent.clear();
  host.meet_peer();
  host.receive(ipv4(wire::kProtocolIcmp, icmp({.type = wire::IcmpType::kEchoRequest}, {})));
  EXPECT_EQ(host.sent.size(), 1U);
  host.receive(ipv6(wire::kProtocolIcmpv6, icmpv6({.type = wire::Icmpv6Type::kEchoRequest}, {})));
  EXPECT_EQ(host.sent.size(), 2U);
  EXPECT_EQ(host.pool->in_use(), 0U);
}

}  // namespace tideline::ip
