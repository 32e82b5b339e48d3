// SPDX-License-Identifier: Apache-2.0
// Longest-prefix lookups, against a naive search through all routes.
#include "ip/routes.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace tideline::ip {
namespace {

using wire::Ipv4Address;
using wire::Ipv6Address;

TEST(Routes, TheLongestPrefixWins) {
  Ipv4Routes routes;
  const Ipv4Address gateway(192, 0, 2, 254);
  const Ipv4Address inner(192, 0, 2, 253);
  routes.add({.destination = {}, .gateway = gateway});
  routes.add({.destination = {Ipv4Address(192, 0, 2, 7), 24}});
  routes.add({.destination = {Ipv4Address(10, 0, 0, 0), 8}, .gateway = inner});
  routes.add({.destination = {Ipv4Address(10, 1, 0, 0), 16}, .gateway = gateway});
  EXPECT_EQ(routes.next_hop(Ipv4Address(192, 0, 2, 9)), Ipv4Address(192, 0, 2, 9));
  EXPECT_EQ(routes.next_hop(Ipv4Address(10, 2, 0, 1)), inner);
  EXPECT_EQ(routes.next_hop(Ipv4Address(10, 1, 2, 3)), gateway);
  EXPECT_EQ(routes.next_hop(Ipv4Address(8, 8, 8, 8)), gateway);
  EXPECT_TRUE(routes.is_on_link(Ipv4Address(192, 0, 2, 200)));
  EXPECT_FALSE(routes.is_on_link(Ipv4Address(10, 1, 2, 3)));
}

TEST(Routes, WithoutARouteThereIsNoNextHop) {
  Ipv6Routes routes;
  const Ipv6Address address(0x20010db800000000, 1);
  EXPECT_EQ(routes.find(address), nullptr);
  EXPECT_EQ(routes.next_hop(address), std::nullopt);
}

TEST(Routes, AddingAgainReplacesAndRemovingRemoves) {
  Ipv4Routes routes;
  const wire::Ipv4Prefix prefix{Ipv4Address(10, 0, 0, 1), 8};
  routes.add({.destination = prefix});
  routes.add({.destination = prefix, .gateway = Ipv4Address(1)});
  ASSERT_EQ(routes.all().size(), 1U);
  EXPECT_EQ(routes.all()[0].gateway, Ipv4Address(1));
  EXPECT_EQ(routes.all()[0].destination.address, Ipv4Address(10, 0, 0, 0));
  const Ipv4Routes snapshot = routes;
  routes.remove(prefix);
  EXPECT_EQ(routes.find(Ipv4Address(10, 9, 9, 9)), nullptr);
  EXPECT_NE(snapshot.find(Ipv4Address(10, 9, 9, 9)), nullptr);
}

template <typename Address>
const Route<Address>* naive_find(const Routes<Address>& routes, const Address& destination) {
  const Route<Address>* best = nullptr;
  for (const Route<Address>& route : routes.all()) {
    if (!route.destination.contains(destination)) continue;
    if (best == nullptr || route.destination.length > best->destination.length) best = &route;
  }
  return best;
}

TEST(Routes, AgreeWithTheNaiveSearch) {
  Rng rng(7);
  // Addresses that differ in few bits, so that prefixes overlap.
  const auto random4 = [&] { return Ipv4Address(static_cast<std::uint32_t>(rng.below(64) << 24)); };
  const auto random6 = [&] { return Ipv6Address(rng.below(16) << 60, rng.below(16) << 60); };
  Ipv4Routes routes4;
  Ipv6Routes routes6;
  for (int step = 0; step < 3000; ++step) {
    const auto length4 = static_cast<std::uint8_t>(rng.below(33));
    const auto length6 = static_cast<std::uint8_t>(rng.below(129));
    if (rng.below(3) == 0) {
      routes4.remove({random4(), length4});
      routes6.remove({random6(), length6});
    } else {
      routes4.add({.destination = {random4(), length4}});
      routes6.add({.destination = {random6(), length6}});
    }
    const Ipv4Address wanted4 = random4();
    const Ipv6Address wanted6 = random6();
    ASSERT_EQ(routes4.find(wanted4), naive_find(routes4, wanted4));
    ASSERT_EQ(routes6.find(wanted6), naive_find(routes6, wanted6));
  }
}

}  // namespace
}  // namespace tideline::ip
