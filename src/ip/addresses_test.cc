// SPDX-License-Identifier: Apache-2.0
// Which addresses are ours, which groups we hear, and the sources of RFC 6724 §10.1 that apply.
#include "ip/addresses.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace tideline::ip {
namespace {

using wire::Ipv4Address;
using wire::Ipv4Prefix;
using wire::Ipv6Address;
using wire::Ipv6Prefix;

Ipv6Address ip6(const char* text) { return *Ipv6Address::from_text(text); }
Ipv6Prefix prefix6(const char* text) { return *Ipv6Prefix::from_text(text); }

TEST(Addresses, BroadcastsAreThoseOfOurNetworks) {
  Addresses addresses;
  addresses.add(Ipv4Prefix{Ipv4Address(192, 0, 2, 1), 24});
  addresses.add(Ipv4Prefix{Ipv4Address(10, 0, 0, 1), 31});
  EXPECT_TRUE(addresses.is_ours(Ipv4Address(192, 0, 2, 1)));
  EXPECT_FALSE(addresses.is_ours(Ipv4Address(192, 0, 2, 2)));
  EXPECT_TRUE(addresses.is_broadcast(Ipv4Address(192, 0, 2, 255)));
  EXPECT_TRUE(addresses.is_broadcast(Ipv4Address(255, 255, 255, 255)));
  EXPECT_FALSE(addresses.is_broadcast(Ipv4Address(192, 0, 3, 255)));
  EXPECT_FALSE(addresses.is_broadcast(Ipv4Address(10, 0, 0, 0)));
  addresses.remove(Ipv4Address(192, 0, 2, 1));
  EXPECT_FALSE(addresses.is_broadcast(Ipv4Address(192, 0, 2, 255)));
}

TEST(Addresses, GroupsAreJoinedAndSolicitedNodesComeWithAddresses) {
  Addresses addresses;
  const Ipv4Address group4(239, 1, 2, 3);
  EXPECT_TRUE(addresses.is_member(Ipv4Address(224, 0, 0, 1)));
  EXPECT_FALSE(addresses.is_member(group4));
  addresses.join(group4);
  addresses.join(group4);
  EXPECT_TRUE(addresses.is_member(group4));
  addresses.leave(group4);
  EXPECT_FALSE(addresses.is_member(group4));

  EXPECT_TRUE(addresses.is_member(ip6("ff02::1")));
  EXPECT_FALSE(addresses.is_member(ip6("ff02::1:ff00:1")));
  addresses.add(prefix6("2001:db8::1/64"), AddressState::kTentative);
  EXPECT_TRUE(addresses.is_member(ip6("ff02::1:ff00:1")));
  EXPECT_FALSE(addresses.is_member(ip6("ff02::2")));
}

TEST(Addresses, ATentativeAddressIsNotOursYet) {
  Addresses addresses;
  addresses.add(prefix6("2001:db8::1/64"), AddressState::kTentative);
  EXPECT_FALSE(addresses.is_ours(ip6("2001:db8::1")));
  EXPECT_TRUE(addresses.is_tentative(ip6("2001:db8::1")));
  EXPECT_EQ(addresses.source_for(ip6("2001:db8::2")), std::nullopt);
  addresses.add(prefix6("2001:db8::1/64"));
  EXPECT_TRUE(addresses.is_ours(ip6("2001:db8::1")));
  EXPECT_EQ(addresses.source_for(ip6("2001:db8::2")), ip6("2001:db8::1"));
}

TEST(Addresses, Ipv4SourceIsThatOfTheNetworkElseTheLongestMatch) {
  Addresses addresses;
  EXPECT_EQ(addresses.source_for(Ipv4Address(192, 0, 2, 9)), std::nullopt);
  addresses.add(Ipv4Prefix{Ipv4Address(169, 254, 1, 1), 16});
  addresses.add(Ipv4Prefix{Ipv4Address(192, 0, 2, 1), 24});
  addresses.add(Ipv4Prefix{Ipv4Address(10, 0, 0, 1), 8});
  EXPECT_EQ(addresses.source_for(Ipv4Address(192, 0, 2, 9)), Ipv4Address(192, 0, 2, 1));
  EXPECT_EQ(addresses.source_for(Ipv4Address(10, 200, 0, 9)), Ipv4Address(10, 0, 0, 1));
  EXPECT_EQ(addresses.source_for(Ipv4Address(169, 254, 7, 7)), Ipv4Address(169, 254, 1, 1));
  // Not the link-local one, although it has the longest match.
  EXPECT_NE(addresses.source_for(Ipv4Address(169, 253, 7, 7)), Ipv4Address(169, 254, 1, 1));
}

// RFC 6724 §10.1.
struct SourceCase {
  const char* destination;
  std::vector<const char*> candidates;
  const char* chosen;
};

TEST(Addresses, SourcesOfRfc6724) {
  const std::vector<SourceCase> cases = {
      // Prefer appropriate scope.
      {"2001:db8:1::1", {"2001:db8:3::1/64", "fe80::1/64"}, "2001:db8:3::1"},
      {"ff05::1", {"2001:db8:3::1/64", "fe80::1/64"}, "2001:db8:3::1"},
      // Prefer same address.
      {"2001:db8:1::1", {"2001:db8:1::1/64", "2001:db8:2::1/64"}, "2001:db8:1::1"},
      {"fe80::1", {"fe80::2/64", "2001:db8:1::1/64"}, "fe80::2"},
      // Longest matching prefix.
      {"2001:db8:1::1", {"2001:db8:1::2/64", "2001:db8:3::2/64"}, "2001:db8:1::2"},
      // Unique local addresses talk to their kind.
      {"2001:db8:1::1", {"fd00::1/64", "2001:db8:3::1/64"}, "2001:db8:3::1"},
      {"fd00:2::1", {"2001:db8:3::1/64", "fd00::1/64"}, "fd00::1"},
      {"ff02::1", {"2001:db8:3::1/64", "fe80::1/64"}, "fe80::1"},
  };
  for (const SourceCase& each : cases) {
    for (const bool reversed : {false, true}) {
      Addresses addresses;
      auto candidates = each.candidates;
      if (reversed) std::ranges::reverse(candidates);
      for (const char* candidate : candidates) addresses.add(prefix6(candidate));
      EXPECT_EQ(addresses.source_for(ip6(each.destination)), ip6(each.chosen)) << each.destination;
    }
  }
}

TEST(Addresses, ADeprecatedSourceIsTheLastChoice) {
  Addresses addresses;
  addresses.add(prefix6("2001:db8:1::1/64"), AddressState::kDeprecated);
  EXPECT_EQ(addresses.source_for(ip6("2001:db8:1::9")), ip6("2001:db8:1::1"));
  addresses.add(prefix6("2001:db8:2::1/64"));
  EXPECT_EQ(addresses.source_for(ip6("2001:db8:1::9")), ip6("2001:db8:2::1"));
}

}  // namespace
}  // namespace tideline::ip
