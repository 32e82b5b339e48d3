// SPDX-License-Identifier: Apache-2.0
#include "port/xdp_in_flight.h"

#include <gtest/gtest.h>

#include <vector>

#include "packet/pool.h"
#include "port/port_test_util.h"

namespace tideline::port {
namespace {

class InFlight : public ::testing::Test {
 protected:
  std::vector<std::uint64_t> addresses_of(const Packet& frame) const {
    std::vector<std::uint64_t> addresses;
    for (const packet::Segment* each = &frame.first(); each != nullptr; each = each->next()) {
      addresses.push_back(
          static_cast<std::uint64_t>(each->bytes().data() - pool_->memory().data()));
    }
    return addresses;
  }
  PacketPtr frame(std::size_t size) { return testing::make_frame(*pool_, size, 0); }

  std::unique_ptr<Pool> pool_ = testing::make_pool(64, 16);
  XdpInFlight in_flight_{64, 8};
};

TEST_F(InFlight, AFrameReturnsWithTheLastOfItsDescriptorsInAnyOrder) {
  for (const auto& order : {std::vector{0, 1, 2}, std::vector{2, 1, 0}, std::vector{1, 0, 2}}) {
    PacketPtr chain = frame(5000);
    const auto addresses = addresses_of(*chain);
    ASSERT_EQ(addresses.size(), 3U);
    in_flight_.add(std::move(chain), addresses);
    EXPECT_EQ(in_flight_.room(), 5U);
    for (const int index : order) {
      EXPECT_EQ(pool_->in_use(), 3U);
      EXPECT_TRUE(in_flight_.complete(addresses[static_cast<std::size_t>(index)]));
    }
    EXPECT_EQ(pool_->in_use(), 0U);
    EXPECT_EQ(in_flight_.room(), 8U);
  }
}

TEST_F(InFlight, WhatIsNotInFlightIsNotCompleted) {
  PacketPtr one = frame(100);
  const auto addresses = addresses_of(*one);
  in_flight_.add(std::move(one), addresses);
  EXPECT_FALSE(in_flight_.complete(addresses[0] + 1));
  EXPECT_FALSE(in_flight_.complete(addresses[0] + packet::kSegmentSize));
  EXPECT_FALSE(in_flight_.complete(pool_->memory().size()));
  EXPECT_TRUE(in_flight_.complete(addresses[0]));
  EXPECT_FALSE(in_flight_.complete(addresses[0]));
  EXPECT_EQ(pool_->in_use(), 0U);
}

// A retransmission while the first copy still waits: both lie in the same chunk.
TEST_F(InFlight, APacketThatWasLentTwiceLivesUntilBothLoansAreBack) {
  packet::PacketRef kept(frame(1000));
  std::vector<std::vector<std::uint64_t>> sent;
  for (const std::size_t offset : {0UL, 0UL, 500UL}) {
    PacketPtr head = pool_->get();
    head->append(14);
    head->append(kept.lend(*pool_, offset, 500));
    sent.push_back(addresses_of(*head));
    in_flight_.add(std::move(head), sent.back());
  }
  kept = {};
  EXPECT_EQ(in_flight_.room(), 2U);
  EXPECT_TRUE(in_flight_.complete(sent[2][1]));
  EXPECT_TRUE(in_flight_.complete(sent[1][0]));
  EXPECT_TRUE(in_flight_.complete(sent[0][1]));
  EXPECT_TRUE(in_flight_.complete(sent[2][0]));
  EXPECT_GT(pool_->in_use(), 0U);
  EXPECT_TRUE(in_flight_.complete(sent[0][0]));
  EXPECT_TRUE(in_flight_.complete(sent[1][1]));
  EXPECT_EQ(pool_->in_use(), 0U);
  EXPECT_EQ(in_flight_.room(), 8U);
}

TEST_F(InFlight, WhatIsLeftAtTheEndIsFreed) {
  {
    XdpInFlight other(64, 8);
    PacketPtr chain = frame(5000);
    const auto addresses = addresses_of(*chain);
    other.add(std::move(chain), addresses);
    EXPECT_TRUE(other.complete(addresses[0]));
  }
  EXPECT_EQ(pool_->in_use(), 0U);
}

}  // namespace
}  // namespace tideline::port
