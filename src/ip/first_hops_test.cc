// SPDX-License-Identifier: Apache-2.0
// To whom packets for other networks go: several gateways of IPv4 (RFC 1122 §3.3.1), redirects of
// both versions (RFC 1122 §3.2.2.2, RFC 4861 §8), routers that fall silent or go (RFC 4861 §6.3.5,
// §6.3.6).
#include <gtest/gtest.h>

#include "ip/test_host.h"

namespace tideline::ip {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::uint16_t kEcho = 7;

class NoEchoes final : public EchoHandler {
 public:
  void echo_replied(EchoReply /*reply*/, Instant /*now*/) override {}
  void echo_failed(const PathError& /*error*/, Instant /*now*/) override {}
};

ByteVector arp_answer(Ipv4Address who, const MacAddress& mac) {
  return arp({.operation = wire::ArpOperation::kReply,
              .sender_mac = mac,
              .sender_ip = who,
              .target_mac = kOurMac,
              .target_ip = kOurs4});
}

class Gateways : public ::testing::Test {
 protected:
  Gateways() {
    EXPECT_TRUE(host.stack.add_address(wire::Ipv4Prefix{kOurs4, 24}, host.now));
    EXPECT_TRUE(host.stack.open_echo(kEcho, handler));
    host.sent.clear();
  }
  void TearDown() override {
    host.advance(seconds(10));
    EXPECT_EQ(host.pool->in_use(), 0U);
  }

  Status add(Ipv4Address gateway) {
    return host.stack.add_gateway(Ipv6Address::mapped(gateway), host.now);
  }
  void ping(Ipv4Address to = kFar4) {
    (void)host.stack.ping(host.packet_of(pattern(8, 1)), Ipv6Address::mapped(to), kEcho, 1,
                          host.now);
  }
  std::optional<Ipv4Address> hop(Ipv4Address to = kFar4) const {
    return host.stack.arp().next_hop(to, host.now);
  }
  // A gateway says that packets to `about` had better go to `better`.
  ByteVector redirect(Ipv4Address from, Ipv4Address better, Ipv4Address about = kFar4,
                      std::uint16_t echo = kEcho) const {
    const ByteVector request =
        icmp({.type = wire::IcmpType::kEchoRequest, .identifier = echo}, pattern(8, 1));
    ByteVector quote(sizeof(wire::Ipv4Header));
    wire::emit(wire::Ipv4{.total_length = 36,
                          .protocol = wire::kProtocolIcmp,
                          .source = kOurs4,
                          .destination = about},
               quote);
    return ipv4({.protocol = wire::kProtocolIcmp, .source = from, .destination = kOurs4},
                icmp({.type = wire::IcmpType::kRedirect, .code = 1, .gateway = better},
                     std::move(quote) + request));
  }

  NoEchoes handler;
  TestHost host{kTestStack};
};

TEST_F(Gateways, TheFirstServesUntilItDoesNotAnswer_ThenAnother) {
  ASSERT_TRUE(add(kPeer4));
  ASSERT_TRUE(add(kOther4));
  EXPECT_EQ(hop(), kPeer4);
  ping();
  host.advance(seconds(4));  // three questions, nobody answers
  EXPECT_EQ(host.drops(Discard::kNeighbourUnresolved), 1U);
  EXPECT_EQ(hop(), kOther4);
  ping();
  host.receive(arp_answer(kOther4, kOtherMac));
  host.sent.clear();
  ping();
  ASSERT_EQ(host.sent.size(), 1U);
  EXPECT_EQ(cut(host.next_sent(), 6), cut(arp({}, kOtherMac), 6));
}

// RFC 4861 §7.3.3, RFC 1122 §3.3.1.4: one that has served falls silent.
TEST_F(Gateways, OneInUseThatDies_GivesWayToAnother) {
  ASSERT_TRUE(add(kPeer4));
  ASSERT_TRUE(add(kOther4));
  ping();
  host.receive(arp_answer(kPeer4, kPeerMac));
  for (int i = 0; i < 60; ++i) {
    ping();
    host.advance(seconds(1));
  }
  EXPECT_EQ(hop(), kOther4);
}

// RFC 4861 §6.3.6: they take turns, and who answers at last serves.
TEST_F(Gateways, NoneAnswers_TheyTakeTurns) {
  for (const Ipv4Address each : {kPeer4, kOther4, Ipv4Address(192, 0, 2, 4)}) {
    ASSERT_TRUE(add(each));
  }
  std::vector<Ipv4Address> tried;
  for (int i = 0; i < 6; ++i) {
    tried.push_back(*hop());
    ping();
    host.advance(seconds(5));
  }
  const std::vector<Ipv4Address> turns = {kPeer4, kOther4, Ipv4Address(192, 0, 2, 4)};
  EXPECT_EQ(std::vector(tried.begin(), tried.begin() + 3), turns);
  EXPECT_EQ(std::vector(tried.begin() + 3, tried.end()), turns);
  // One asks for us: it is there.
  host.receive(arp({.operation = wire::ArpOperation::kRequest,
                    .sender_mac = kOtherMac,
                    .sender_ip = kOther4,
                    .target_ip = kOurs4}));
  EXPECT_EQ(hop(), kOther4);
}

TEST_F(Gateways, Add_NoHostsAddressOrTooMany_IsRefused) {
  for (const Ipv4Address each :
       {Ipv4Address(), Ipv4Address(224, 0, 0, 1), Ipv4Address(127, 0, 0, 1)}) {
    EXPECT_FALSE(add(each)) << each.to_text();
  }
  for (unsigned i = 0; i < FirstHops<Ipv4Address>::kMaxRouters; ++i) {
    EXPECT_TRUE(add(Ipv4Address(kPeer4.value() + i)));
  }
  EXPECT_TRUE(add(kPeer4));  // it is there already
  EXPECT_FALSE(add(Ipv4Address(192, 0, 2, 99)));
}

TEST_F(Gateways, RcvRedirect_FromTheFirstHop_IsObeyedForAWhile) {
  ASSERT_TRUE(add(kPeer4));
  host.receive(redirect(kPeer4, kOther4));
  EXPECT_EQ(hop(), kOther4);
  EXPECT_EQ(hop(Ipv4Address(198, 51, 100, 8)), kPeer4);
  EXPECT_EQ(total_drops(host.stack.drops()), 0U);
  host.advance(minutes(11));
  EXPECT_EQ(hop(), kPeer4);
}

TEST_F(Gateways, RcvRedirect_ThatMustNotBeBelieved_ChangesNothing) {
  ASSERT_TRUE(add(kPeer4));
  const Ipv4Address broadcast(192, 0, 2, 255);
  const Ipv4Address elsewhere(203, 0, 113, 9);
  std::uint64_t refused = 0;
  for (const ByteVector& frame :
       {redirect(kOther4, kOther4), redirect(kPeer4, elsewhere), redirect(kPeer4, broadcast),
        redirect(kPeer4, kOurs4), redirect(kPeer4, kPeer4), redirect(kPeer4, kOther4, kPeer4)}) {
    host.receive(frame);
    EXPECT_EQ(host.drops(Discard::kIcmpRedirect), ++refused);
  }
  host.receive(redirect(kPeer4, kOther4, kFar4, kEcho + 1));
  EXPECT_EQ(host.drops(Discard::kIcmpQuoteUnknown), 1U);
  EXPECT_EQ(host.stack.arp().first_hops().redirects(), 0U);
  EXPECT_EQ(hop(), kPeer4);
}

TEST_F(Gateways, RcvRedirects_Flood_IsBounded) {
  ASSERT_TRUE(add(kPeer4));
  for (std::uint32_t i = 0; i < 500; ++i) {
    host.receive(redirect(kPeer4, kOther4, Ipv4Address(kFar4.value() + i)));
  }
  EXPECT_EQ(host.stack.arp().first_hops().redirects(), FirstHops<Ipv4Address>::kMaxRedirects);
}

TEST_F(Gateways, RcvRedirect_ToWhoDoesNotAnswer_IsForgotten) {
  ASSERT_TRUE(add(kPeer4));
  host.receive(redirect(kPeer4, kOther4));
  ping();
  host.advance(seconds(4));
  EXPECT_EQ(hop(), kPeer4);
}

// --- IPv6 ---

constexpr Ipv6Address kFirst6(0xfe80000000000000, 0x99);
constexpr Ipv6Address kSecond6(0xfe80000000000000, 0x9a);
constexpr Ipv6Address kThird6(0xfe80000000000000, 0x9b);
constexpr Ipv6Address kDistant6(0x20010db800990000, 7);

class RoutersThatGo : public ::testing::Test {
 protected:
  RoutersThatGo() {
    host.stack.configure_ipv6(host.now);
    EXPECT_TRUE(host.stack.add_address(wire::Ipv6Prefix{kOurs6, 64}, host.now));
  }
  void TearDown() override {
    host.advance(seconds(10));
    EXPECT_EQ(host.pool->in_use(), 0U);
  }

  void advertise(const Ipv6Address& router, std::uint16_t lifetime = 1800,
                 wire::RouterPreference preference = wire::RouterPreference::kMedium,
                 std::optional<MacAddress> mac = kOtherMac) {
    host.receive(ndp(
        wire::RouterAdvertisement{
            .preference = preference, .router_lifetime = lifetime, .source_mac = mac},
        router, wire::kIpv6AllNodes));
  }
  void redirect(const Ipv6Address& from, const Ipv6Address& to,
                const Ipv6Address& about = kDistant6) {
    host.receive(ndp(wire::Redirect{.target = to, .destination = about, .target_mac = kOtherMac},
                     from, kOurs6));
  }
  void claim(const Ipv6Address& who, bool router) {
    host.receive(ndp(
        wire::NeighbourAdvertisement{
            .router = router, .override_cache = true, .target = who, .target_mac = kOtherMac},
        who, wire::kIpv6AllNodes));
  }
  void ping() {
    (void)host.stack.ping(host.packet_of(pattern(8, 1)), kDistant6, kEcho, 1, host.now);
  }
  std::optional<Ipv6Address> hop(const Ipv6Address& to = kDistant6) const {
    return host.stack.ndp().next_hop(to, host.now);
  }

  TestHost host{kTestStack};
};

// RFC 4861 §6.3.5: its lifetime is over, or it says so.
TEST_F(RoutersThatGo, DestinationsThatWereRedirectedToIt_AreLookedUpAnew) {
  for (const bool says_so : {true, false}) {
    advertise(kFirst6);
    advertise(kSecond6, 100);
    redirect(kFirst6, kSecond6);
    ASSERT_EQ(hop(), kSecond6);
    if (says_so) {
      advertise(kSecond6, 0);
    } else {
      host.advance(seconds(101));
    }
    EXPECT_EQ(hop(), kFirst6);
    EXPECT_EQ(host.stack.ndp().first_hops().redirects(), 0U);
  }
}

// RFC 4861 §7.2.5: also of one that was never a default router; not of a neighbour, who is none.
TEST_F(RoutersThatGo, NoRouterAnyMore_RedirectsToItAreForgotten) {
  const Ipv6Address neighbour(0x20010db800770000, 1);
  advertise(kFirst6);
  redirect(kFirst6, kThird6);
  redirect(kFirst6, neighbour, neighbour);
  ASSERT_EQ(hop(), kThird6);
  claim(kThird6, true);
  EXPECT_EQ(hop(), kThird6);
  claim(kThird6, false);
  EXPECT_EQ(hop(), kFirst6);
  claim(neighbour, false);
  EXPECT_EQ(hop(neighbour), neighbour);
}

// RFC 4861 §6.3.6: what did not answer stays behind what does, until it is heard.
TEST_F(RoutersThatGo, SilenceIsRemembered_UntilItAnswers) {
  using enum wire::RouterPreference;
  advertise(kFirst6, 1800, kHigh, std::nullopt);
  advertise(kSecond6);
  ASSERT_EQ(hop(), kFirst6);
  ping();
  host.advance(seconds(5));
  EXPECT_EQ(hop(), kSecond6);
  advertise(kFirst6, 1800, kHigh, std::nullopt);
  EXPECT_EQ(hop(), kSecond6);
  EXPECT_EQ(host.stack.ndp().neighbours().state(kFirst6, host.now), std::nullopt);
  // While packets flow it is asked, once a minute at most.
  ping();
  advertise(kFirst6, 1800, kHigh, std::nullopt);
  EXPECT_EQ(host.stack.ndp().neighbours().state(kFirst6, host.now), NeighbourState::kIncomplete);
  host.advance(seconds(5));
  ping();
  advertise(kFirst6, 1800, kHigh, std::nullopt);
  EXPECT_EQ(host.stack.ndp().neighbours().state(kFirst6, host.now), std::nullopt);
  host.advance(minutes(1));
  ping();
  advertise(kFirst6, 1800, kHigh, std::nullopt);
  claim(kFirst6, true);
  EXPECT_EQ(hop(), kFirst6);
}

TEST_F(RoutersThatGo, ConfiguredGateway_PrecedesThoseThatAdvertise_UntilItIsSilent) {
  ASSERT_TRUE(host.stack.add_gateway(kThird6, host.now));
  advertise(kFirst6, 1800, wire::RouterPreference::kHigh);
  EXPECT_EQ(hop(), kThird6);
  advertise(kThird6, 0);  // its owner knows better
  EXPECT_EQ(hop(), kThird6);
  ping();
  host.advance(seconds(10));
  EXPECT_EQ(hop(), kFirst6);
}

}  // namespace
}  // namespace tideline::ip
