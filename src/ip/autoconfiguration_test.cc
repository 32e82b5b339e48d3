// SPDX-License-Identifier: Apache-2.0
// How a host comes by its addresses and routers: IPv4 probes (RFC 5227), what IPv6 forms by itself
// (RFC 4862, RFC 7217), default routers (RFC 4861 §6.3, RFC 4191, RFC 7559) and redirects.
#include <gtest/gtest.h>

#include <algorithm>

#include "ip/test_host.h"

namespace tideline::ip {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using wire::ArpOperation;
using wire::RouterPreference;

constexpr Ipv6Address kRouter(0xfe80000000000000, 0x99);
constexpr Ipv6Address kRouter2(0xfe80000000000000, 0x9a);
constexpr MacAddress kRouterMac({2, 0, 0, 0, 0, 9});
constexpr Ipv6Address kFar6(0x20010db800990000, 7);
constexpr wire::Ipv6Prefix kNet{Ipv6Address(0x20010db800050000, 0), 64};

constexpr StackOptions kProbing{.mac = kOurMac, .group_reports = false};

// --- IPv4 ---

TEST(AddressProbe, NobodyAnswers_ServesWithinATenthOfASecondOrTwo) {
  TestHost host(kProbing);
  ASSERT_TRUE(host.stack.add_address(wire::Ipv4Prefix{kOurs4, 24}, host.now));
  EXPECT_FALSE(host.stack.addresses().is_ours(kOurs4));
  host.advance(milliseconds(150));
  EXPECT_EQ(host.ready, std::vector{Ipv6Address::mapped(kOurs4)});
  ASSERT_EQ(host.sent.size(), 4U);  // three probes and an announcement
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(host.next_sent(),
              arp({.sender_mac = kOurMac, .target_ip = kOurs4}, wire::kMacBroadcast));
  }
  const ByteVector announcement =
      arp({.sender_mac = kOurMac, .sender_ip = kOurs4, .target_ip = kOurs4}, wire::kMacBroadcast);
  EXPECT_EQ(host.next_sent(), announcement);
  host.advance(minutes(1));
  ASSERT_EQ(host.sent.size(), 1U);
  EXPECT_EQ(host.next_sent(), announcement);
}

TEST(AddressProbe, TimesOfTheRfc_TakeFourToSevenSeconds) {
  TestHost host({.mac = kOurMac, .address_probe = AddressProbeOptions::rfc5227()});
  ASSERT_TRUE(host.stack.add_address(wire::Ipv4Prefix{kOurs4, 24}, host.now));
  host.advance(seconds(4) - milliseconds(1));
  EXPECT_TRUE(host.ready.empty());
  host.advance(seconds(3));
  EXPECT_EQ(host.ready.size(), 1U);
}

TEST(AddressProbe, AnotherHasOrTestsIt_IsAConflict) {
  const std::vector<wire::Arp> claims = {
      {.operation = ArpOperation::kReply,
       .sender_mac = kOtherMac,
       .sender_ip = kOurs4,
       .target_mac = kOurMac},
      {.sender_mac = kOtherMac, .sender_ip = kOurs4, .target_ip = kPeer4},
      {.sender_mac = kOtherMac, .target_ip = kOurs4}};
  for (const wire::Arp& claim : claims) {
    TestHost host(kProbing);
    ASSERT_TRUE(host.stack.add_address(wire::Ipv4Prefix{kOurs4, 24}, host.now));
    host.sent.clear();
    host.receive(arp(claim));
    ASSERT_EQ(host.conflicts.size(), 1U);
    EXPECT_EQ(host.conflicts[0], std::pair(Ipv6Address::mapped(kOurs4), kOtherMac));
    host.advance(minutes(1));
    EXPECT_TRUE(host.ready.empty());
    EXPECT_TRUE(host.sent.empty());
    EXPECT_FALSE(host.stack.addresses().is_ours(kOurs4));
  }
}

TEST(AddressProbe, OurOwnProbeComesBack_IsNoConflict) {
  TestHost host(kProbing);
  ASSERT_TRUE(host.stack.add_address(wire::Ipv4Prefix{kOurs4, 24}, host.now));
  host.receive(ByteVector(host.next_sent()));
  host.advance(seconds(1));
  EXPECT_TRUE(host.conflicts.empty());
  EXPECT_EQ(host.ready.size(), 1U);
}

TEST(AddressProbe, AddressIsCertain_ServesAtOnce) {
  TestHost host(kProbing);
  ASSERT_TRUE(host.stack.add_address(wire::Ipv4Prefix{kOurs4, 24}, host.now, Uniqueness::kCertain));
  ASSERT_TRUE(host.stack.add_address(wire::Ipv6Prefix{kOurs6, 64}, host.now, Uniqueness::kCertain));
  EXPECT_EQ(host.ready, (std::vector{Ipv6Address::mapped(kOurs4), kOurs6}));
}

// --- IPv6 ---

class Autoconfiguration : public ::testing::Test {
 protected:
  Autoconfiguration() { host.stack.configure_ipv6(host.now); }
  void TearDown() override { EXPECT_EQ(host.pool->in_use(), 0U); }

  void advertise(wire::RouterAdvertisement message, const Ipv6Address& from = kRouter,
                 const MacAddress& mac = kRouterMac) {
    message.source_mac = mac;
    host.receive(ndp(message, from, wire::kIpv6AllNodes));
  }
  void advertise(const wire::Ipv6Prefix& prefix, std::uint32_t valid, std::uint32_t preferred) {
    wire::RouterAdvertisement message{.router_lifetime = 1800, .prefix_count = 1};
    message.prefixes[0] = {.prefix = prefix,
                           .on_link = true,
                           .autonomous = true,
                           .valid_lifetime = valid,
                           .preferred_lifetime = preferred};
    advertise(message);
  }
  // The address formed in the prefix, if it serves.
  std::optional<Addresses::Ipv6Entry> formed(const wire::Ipv6Prefix& prefix) {
    for (const auto& each : host.stack.addresses().ipv6()) {
      if (prefix.contains(each.prefix.address)) return each;
    }
    return std::nullopt;
  }
  std::optional<Ipv6Address> default_router() {
    const auto* route = host.stack.routes6().find(kFar6);
    return route == nullptr ? std::nullopt : route->gateway;
  }
  // ICMPv6 messages of the type that have been sent; the rest is forgotten.
  std::size_t sent_of_type(unsigned type) {
    const auto is_one = [&](const ByteVector& frame) {
      return frame.size() > 54 && frame[20] == std::byte{58} &&
             frame[54] == static_cast<std::byte>(type);
    };
    const auto count = static_cast<std::size_t>(std::ranges::count_if(host.sent, is_one));
    host.sent.clear();
    return count;
  }

  static constexpr wire::Ipv6Prefix kLinkLocal{Ipv6Address(0xfe80000000000000, 0), 64};
  TestHost host{kTestStack};
};

TEST_F(Autoconfiguration, FormsALinkLocalAddress) {
  ASSERT_TRUE(formed(kLinkLocal).has_value());
  EXPECT_EQ(host.stack.ndp().slaac().link_local(), formed(kLinkLocal)->prefix.address);
  EXPECT_TRUE(host.stack.routes6().is_on_link(kRouter));
}

TEST(StableAddress, DependsOnSecretPrefixAndMac) {
  const auto address_of = [](std::uint64_t secret, const MacAddress& mac) {
    StackOptions options = kTestStack;
    options.mac = mac;
    options.ndp.stable_secret = HashKey{.low = secret, .high = 1};
    TestHost host(options);
    host.stack.configure_ipv6(host.now);
    return *host.stack.ndp().slaac().link_local();
  };
  EXPECT_EQ(address_of(1, kOurMac), address_of(1, kOurMac));
  EXPECT_NE(address_of(1, kOurMac), address_of(2, kOurMac));
  EXPECT_NE(address_of(1, kOurMac), address_of(1, kPeerMac));
}

TEST_F(Autoconfiguration, DuplicateOfAFormedAddress_AnotherIsFormed) {
  TestHost tested({.mac = kOurMac});
  tested.stack.configure_ipv6(tested.now);
  std::vector<Ipv6Address> tried;
  for (int i = 0; i < 4; ++i) {
    const auto address = tested.stack.ndp().slaac().link_local();
    ASSERT_TRUE(address.has_value());
    EXPECT_EQ(std::ranges::count(tried, *address), 0);
    tried.push_back(*address);
    tested.receive(ndp(wire::NeighbourAdvertisement{.target = *address, .target_mac = kOtherMac},
                       *address, wire::kIpv6AllNodes));
  }
  EXPECT_EQ(tested.stack.ndp().slaac().link_local(), std::nullopt);  // RFC 7217 §7: it gives up
  EXPECT_EQ(tested.conflicts.size(), 1U);
}

// RFC 7559: 4 s, then twice as long each time, ten per cent either way; up to an hour.
TEST_F(Autoconfiguration, NoRouter_IsAskedForEverMoreSeldom) {
  host.sent.clear();
  host.advance(seconds(1));
  EXPECT_EQ(sent_of_type(133), 1U);
  host.advance(milliseconds(3500 - 900));
  EXPECT_EQ(sent_of_type(133), 0U);
  host.advance(milliseconds(2000));
  EXPECT_EQ(sent_of_type(133), 1U);
  host.advance(hours(1));
  const std::size_t first_hour = sent_of_type(133);
  EXPECT_GE(first_hour, 7U);
  EXPECT_LE(first_hour, 11U);
  host.advance(hours(10));
  EXPECT_LE(sent_of_type(133), 12U);
  advertise({.router_lifetime = 1800});
  host.sent.clear();
  host.advance(minutes(29));
  EXPECT_EQ(sent_of_type(133), 0U);
  host.advance(minutes(2));  // the router is gone
  EXPECT_GE(sent_of_type(133), 1U);
}

TEST_F(Autoconfiguration, RouterAdvertisement_BecomesTheDefaultRouteForItsLifetime) {
  EXPECT_EQ(default_router(), std::nullopt);
  advertise({.router_lifetime = 1800});
  EXPECT_EQ(default_router(), kRouter);
  EXPECT_EQ(host.stack.ndp().neighbours().mac(kRouter), kRouterMac);
  host.advance(minutes(30));
  EXPECT_EQ(default_router(), std::nullopt);
  advertise({.router_lifetime = 1800});
  advertise({.router_lifetime = 0});
  EXPECT_EQ(default_router(), std::nullopt);
}

TEST_F(Autoconfiguration, RouterAdvertisements_ThePreferredRouterServes) {
  advertise({.preference = RouterPreference::kLow, .router_lifetime = 1800});
  advertise({.router_lifetime = 600}, kRouter2);
  EXPECT_EQ(default_router(), kRouter2);
  advertise({.router_lifetime = 1800});
  EXPECT_EQ(default_router(), kRouter2);  // the one in use before its equals
  advertise({.preference = RouterPreference::kHigh, .router_lifetime = 1800});
  EXPECT_EQ(default_router(), kRouter);
  host.receive(ndp(wire::NeighbourAdvertisement{.override_cache = true, .target = kRouter}, kRouter,
                   wire::kIpv6AllNodes));
  EXPECT_EQ(default_router(), kRouter2);  // RFC 4861 §7.2.5: no router any more
}

TEST_F(Autoconfiguration, RouterThatDoesNotAnswer_GivesWayToAnother) {
  host.receive(
      ndp(wire::RouterAdvertisement{.preference = RouterPreference::kHigh, .router_lifetime = 1800},
          kRouter, wire::kIpv6AllNodes));
  advertise({.router_lifetime = 1800}, kRouter2);
  EXPECT_EQ(default_router(), kRouter);
  (void)host.stack.ping(host.packet_of(pattern(8, 1)), kFar6, 7, 1, host.now);
  host.advance(seconds(5));
  EXPECT_EQ(default_router(), kRouter2);
}

TEST_F(Autoconfiguration, ConfiguredDefaultRoute_Stays) {
  host.stack.routes6().add({.destination = {}, .gateway = kPeer6});
  advertise({.router_lifetime = 1800});
  EXPECT_EQ(default_router(), kPeer6);
  advertise({.router_lifetime = 0});
  EXPECT_EQ(default_router(), kPeer6);
}

TEST_F(Autoconfiguration, RouterAdvertisements_Flood_IsBounded) {
  for (std::uint64_t i = 0; i < 1000; ++i) {
    wire::RouterAdvertisement message{.router_lifetime = 9000, .prefix_count = 1};
    message.prefixes[0] = {.prefix = {Ipv6Address(0x20010db800000000 + (i << 16), 0), 64},
                           .on_link = true,
                           .autonomous = true,
                           .valid_lifetime = 9000,
                           .preferred_lifetime = 9000};
    advertise(message, Ipv6Address(0xfe80000000000000, 1000 + i));
  }
  EXPECT_EQ(host.stack.ndp().first_hops().size(), FirstHops<Ipv6Address>::kMaxRouters);
  EXPECT_EQ(host.drops(Discard::kNdpTooManyRouters), 1000 - FirstHops<Ipv6Address>::kMaxRouters);
  EXPECT_EQ(host.stack.addresses().ipv6().size(), 1 + Slaac::kMaxPrefixes);
  EXPECT_EQ(host.drops(Discard::kNdpTooManyPrefixes), 1000 - Slaac::kMaxPrefixes);
  host.advance(hours(3));
  EXPECT_EQ(host.stack.ndp().first_hops().size(), 0U);
  EXPECT_EQ(host.stack.addresses().ipv6().size(), 1U);
  EXPECT_EQ(host.stack.routes6().all().size(), 1U);
}

TEST_F(Autoconfiguration, Prefix_FormsAnAddressThatAgesAndGoes) {
  advertise(kNet, 3600, 1800);
  ASSERT_TRUE(formed(kNet).has_value());
  EXPECT_EQ(formed(kNet)->state, AddressState::kPreferred);
  EXPECT_EQ(host.stack.source_for(kFar6), formed(kNet)->prefix.address);
  EXPECT_TRUE(host.stack.routes6().is_on_link(Ipv6Address(0x20010db800050000, 77)));
  host.advance(minutes(30));
  EXPECT_EQ(formed(kNet)->state, AddressState::kDeprecated);
  advertise(kNet, 3600, 1800);
  EXPECT_EQ(formed(kNet)->state, AddressState::kPreferred);
  host.advance(minutes(60));
  EXPECT_FALSE(formed(kNet).has_value());
  EXPECT_FALSE(host.stack.routes6().is_on_link(Ipv6Address(0x20010db800050000, 77)));
}

// RFC 4862 §5.5.3 (e): nobody shortens what is left to less than two hours.
TEST_F(Autoconfiguration, Prefix_TwoHourRule) {
  advertise(kNet, 86400, 86400);
  advertise(kNet, 1, 1);
  host.advance(hours(2) - seconds(1));
  EXPECT_TRUE(formed(kNet).has_value());
  advertise(kNet, 1, 0);  // ignored: less than two hours are left
  host.advance(milliseconds(500));
  EXPECT_TRUE(formed(kNet).has_value());
  host.advance(milliseconds(500));
  EXPECT_FALSE(formed(kNet).has_value());
  advertise(kNet, 3600, 3600);
  advertise(kNet, 7201, 7201);  // more than two hours: taken as it is
  host.advance(hours(2));
  EXPECT_TRUE(formed(kNet).has_value());
  host.advance(seconds(1));
  EXPECT_FALSE(formed(kNet).has_value());
}

TEST_F(Autoconfiguration, Prefix_ThatFormsNothing) {
  const std::size_t before = host.stack.addresses().ipv6().size();
  advertise({Ipv6Address(0x20010db800050000, 0), 56}, 3600, 3600);  // no room for an identifier
  advertise(kNet, 100, 200);                                        // preferred beyond valid
  advertise({Ipv6Address(0xfe80000000000000, 0), 64}, 3600, 3600);
  advertise(kNet, 0, 0);
  EXPECT_EQ(host.stack.addresses().ipv6().size(), before);
}

TEST_F(Autoconfiguration, RouterAdvertisement_SetsMtuAndTimesWithinBounds) {
  const auto mtu = [&] { return host.stack.path_mtu(kFar6, host.now).mtu; };
  advertise({.router_lifetime = 1800, .mtu = 1400});
  EXPECT_EQ(mtu(), 1400);
  EXPECT_EQ(host.stack.path_mtu(Ipv6Address::mapped(kFar4), host.now).mtu, 1500);
  advertise({.router_lifetime = 1800, .mtu = 1279});
  advertise({.router_lifetime = 1800, .mtu = 9000});
  EXPECT_EQ(mtu(), 1400);
  advertise({.router_lifetime = 1800, .retransmit_timer = 1});
  EXPECT_EQ(host.stack.ndp().neighbours().retransmit_time(), milliseconds(100));
}

TEST_F(Autoconfiguration, Redirect_FromTheFirstHop_IsObeyed) {
  advertise(kNet, 3600, 3600);
  advertise({.router_lifetime = 1800}, kRouter2, kOtherMac);
  const Ipv6Address ours = formed(kNet)->prefix.address;
  const auto first_hop = [&] { return host.stack.ndp().next_hop(kFar6, host.now); };
  EXPECT_EQ(first_hop(), kRouter);
  const wire::Redirect redirect{.target = kRouter2, .destination = kFar6, .target_mac = kOtherMac};
  host.receive(ndp(redirect, kRouter2, ours));  // not the first hop
  EXPECT_EQ(host.drops(Discard::kNdpRedirect), 1U);
  EXPECT_EQ(first_hop(), kRouter);
  host.receive(ndp(redirect, kRouter, ours));
  EXPECT_EQ(first_hop(), kRouter2);
  EXPECT_EQ(host.stack.ndp().next_hop(Ipv6Address(0x20010db800990000, 8), host.now), kRouter);
  host.advance(minutes(11));
  EXPECT_EQ(first_hop(), kRouter);
}

TEST_F(Autoconfiguration, Redirects_Flood_IsBounded) {
  advertise(kNet, 3600, 3600);
  const Ipv6Address ours = formed(kNet)->prefix.address;
  for (std::uint64_t i = 0; i < 500; ++i) {
    host.receive(
        ndp(wire::Redirect{.target = kRouter2, .destination = Ipv6Address(0x20010db800990000, i)},
            kRouter, ours));
  }
  EXPECT_EQ(host.stack.ndp().first_hops().redirects(), FirstHops<Ipv6Address>::kMaxRedirects);
}

}  // namespace
}  // namespace tideline::ip
