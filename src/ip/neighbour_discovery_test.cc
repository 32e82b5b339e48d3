// SPDX-License-Identifier: Apache-2.0
// Neighbour discovery by a whole host, beyond the state machine of a neighbour: what is not heard
// (RFC 6980), and what an advertisement does to routers (RFC 4861 §7.2.5).
#include <gtest/gtest.h>

#include "ip/test_host.h"

namespace tideline::ip {
namespace {

constexpr Ipv6Address kGate(0xfe80000000000000, 0x99);
constexpr MacAddress kGateMac({2, 0, 0, 0, 0, 9});
constexpr Ipv6Address kAbroad6(0x20010db800990000, 7);

class NeighbourDiscovery : public ::testing::Test {
 protected:
  void TearDown() override { expect_healthy(*host); }

  // The packet in two fragments, or in one that is the whole.
  void receive_in_fragments(const ByteVector& frame, std::size_t fragments) {
    constexpr std::size_t kHeaders = 14 + sizeof(wire::Ipv6Header);
    const ByteVector data = behind(frame, kHeaders);
    const auto& header = wire::view_as<wire::Ipv6Header>(wire::Bytes(frame).subspan(14));
    const std::size_t first = fragments == 1 ? data.size() : 8;
    for (std::size_t at = 0; at < data.size(); at += first) {
      const bool more = fragments > 1 && at == 0;
      const ByteVector piece = more ? cut(data, first) : behind(data, at);
      ByteVector bytes(sizeof(wire::Ipv6FragmentHeader));
      wire::emit(wire::Ipv6Fragment{.next_header = wire::kProtocolIcmpv6,
                                    .offset = static_cast<std::uint16_t>(at),
                                    .more = more,
                                    .identification = 77},
                 bytes);
      host->receive(ipv6({.next_header = wire::kProtocolFragment,
                          .hop_limit = wire::kNdpHopLimit,
                          .source = header.source,
                          .destination = header.destination},
                         std::move(bytes) + piece));
      if (!more) break;
    }
  }

  std::unique_ptr<TestHost> host = TestHost::acquainted();
};

// RFC 6980 §5.
TEST_F(NeighbourDiscovery, RcvSolicitation_InFragments_IsIgnored) {
  const ByteVector frame =
      ndp(wire::NeighbourSolicitation{.target = kOurs6, .source_mac = kOtherMac}, kOther6, kOurs6);
  receive_in_fragments(frame, 1);
  EXPECT_EQ(host->drops(Discard::kNdpFragmented), 1U);
  receive_in_fragments(frame, 2);
  EXPECT_EQ(host->drops(Discard::kNdpFragmented), 2U);
  EXPECT_TRUE(host->sent.empty());
  EXPECT_EQ(host->stack.ndp().neighbours().size(), 1U);
  host->receive(frame);  // it was good but for that
  EXPECT_EQ(host->stack.ndp().neighbours().size(), 2U);
}

// RFC 4861 §7.2.2.
TEST_F(NeighbourDiscovery, SndSolicitation_IsFromWhomThePacketIsThatWaits) {
  const Ipv6Address second(0x20010db800050000, 1);
  ASSERT_TRUE(host->stack.add_address(wire::Ipv6Prefix{second, 64}, host->now));
  const auto asked_by = [&](const Ipv6Address& source, const Ipv6Address& target) {
    EXPECT_TRUE(host->stack.udp().send(host->packet_of(pattern(8, 1)),
                                       {.source = {.address = source, .port = 1000},
                                        .destination = {.address = target, .port = 5}},
                                       host->now));
    const ByteVector frame = host->next_sent();
    return wire::view_as<wire::Ipv6Header>(wire::Bytes(frame).subspan(14)).source;
  };
  EXPECT_EQ(asked_by(second, kOther6), second);
  EXPECT_EQ(asked_by(kOurs6, Ipv6Address(0x20010db800000000, 4)), kOurs6);
  host->advance(std::chrono::seconds(5));
}

// RFC 6980 is about neighbour discovery alone.
TEST_F(NeighbourDiscovery, RcvEcho_InFragments_IsAnswered) {
  const ByteVector frame =
      ipv6(wire::kProtocolIcmpv6, icmpv6({.type = wire::Icmpv6Type::kEchoRequest}, pattern(32, 1)));
  receive_in_fragments(frame, 1);
  receive_in_fragments(frame, 2);
  EXPECT_EQ(host->sent.size(), 2U);
}

class NeighbourDiscoveryOfRouters : public ::testing::Test {
 protected:
  NeighbourDiscoveryOfRouters() { host.stack.configure_ipv6(host.now); }
  void TearDown() override { EXPECT_EQ(host.pool->in_use(), 0U); }

  // A router advertises itself, with its Ethernet address or without.
  void advertise(std::optional<MacAddress> mac) {
    wire::RouterAdvertisement message{.router_lifetime = 1800};
    message.source_mac = mac;
    host.receive(ndp(message, kGate, wire::kIpv6AllNodes));
    ASSERT_EQ(host.stack.routes6().next_hop(kAbroad6), kGate);
  }
  void claim(const wire::NeighbourAdvertisement& message) {
    host.receive(ndp(message, kGate, wire::kIpv6AllNodes));
  }

  TestHost host{kTestStack};
};

// RFC 4861 §7.2.5, case I.
TEST_F(NeighbourDiscoveryOfRouters, RcvClaim_OfAnotherAddressWithoutOverride_ChangesNoRouter) {
  advertise(kGateMac);
  claim({.target = kGate, .target_mac = kOtherMac});
  EXPECT_EQ(host.stack.routes6().next_hop(kAbroad6), kGate);
  EXPECT_EQ(host.stack.ndp().first_hops().size(), 1U);
  EXPECT_EQ(host.drops(Discard::kNdpClaimIgnored), 1U);
  claim({.override_cache = true, .target = kGate, .target_mac = kOtherMac});
  EXPECT_EQ(host.stack.ndp().first_hops().size(), 0U);
}

TEST_F(NeighbourDiscoveryOfRouters, RcvClaim_WithoutAddressWhileIncomplete_ChangesNoRouter) {
  advertise(std::nullopt);
  ASSERT_TRUE(host.stack.ping(host.packet_of(pattern(8, 1)), kAbroad6, 7, 1, host.now));
  ASSERT_EQ(host.stack.ndp().neighbours().state(kGate, host.now), NeighbourState::kIncomplete);
  claim({.override_cache = true, .target = kGate});
  EXPECT_EQ(host.stack.ndp().first_hops().size(), 1U);
  EXPECT_EQ(host.drops(Discard::kNdpClaimIgnored), 1U);
  claim({.override_cache = true, .target = kGate, .target_mac = kGateMac});
  EXPECT_EQ(host.stack.ndp().first_hops().size(), 0U);
}

}  // namespace
}  // namespace tideline::ip
