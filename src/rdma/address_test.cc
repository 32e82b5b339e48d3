// SPDX-License-Identifier: Apache-2.0
// How peers are named: the table of GIDs, and LIDs.
#include <gtest/gtest.h>

#include "rdma/address.h"
#include "rdma/lid.h"

namespace tideline::rdma {
namespace {

TEST(Gids, TheSameAddressesOfRoceV1AreInTheSecondHalf) {
  GidTable gids;
  const Gid one(1, 1);
  const Gid two(2, 2);
  gids.add({.gid = one});
  gids.add({.gid = two});
  gids.add_v1();
  EXPECT_EQ(gids.at(17), (GidEntry{.gid = two, .type = GidType::kRoceV1}));
  EXPECT_FALSE(gids.at(18));
  EXPECT_EQ(gids.find(two), 1U);
  // Where a host has that many, RoCE v2 has the place.
  for (std::size_t i = 2; i < 16; ++i) gids.add({.gid = Gid(i, 9)});
  EXPECT_EQ(gids.add({.gid = Gid(16, 9)}), 18U);
  gids.add_v1();
  EXPECT_EQ(gids.at(18), (GidEntry{.gid = Gid(16, 9)}));
  EXPECT_EQ(gids.at(31), (GidEntry{.gid = Gid(15, 9), .type = GidType::kRoceV1}));
}

TEST(Lids, AreTheHostPartsOfSmallNetworks) {
  const auto network = [](const char* text) {
    return LidNetwork(wire::Ipv4Prefix::from_text(text).value());
  };
  const LidNetwork small = network("198.18.0.5/24");
  EXPECT_EQ(small.own_lid(), 5U);
  EXPECT_EQ(small.own_gid(), Gid::mapped(wire::Ipv4Address(0xc6120005)));
  EXPECT_EQ(small.gid_of(254), Gid::mapped(wire::Ipv4Address(0xc61200fe)));
  EXPECT_FALSE(small.gid_of(0));
  EXPECT_FALSE(small.gid_of(255));
  EXPECT_FALSE(small.gid_of(256));
  const LidNetwork large = network("198.18.192.1/16");
  EXPECT_EQ(large.own_lid(), 0U) << "of multicast groups";
  EXPECT_EQ(large.gid_of(0xbfff), Gid::mapped(wire::Ipv4Address(0xc612bfff)));
  EXPECT_EQ(network("198.18.0.5/15").own_lid(), 0U) << "two hosts would have the same";
  EXPECT_EQ(network("192.0.2.1/32").own_lid(), 0U);
  EXPECT_EQ(LidNetwork().own_lid(), 0U);
}

}  // namespace
}  // namespace tideline::rdma
