// SPDX-License-Identifier: Apache-2.0
#include "proofs/placement/region_table.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

namespace proofs::placement {
namespace {

using namespace std::chrono_literals;

Region region(std::uint64_t base, std::uint64_t length) {
  return {.base = base,
          .length = length,
          .backing_offset = base + length,
          .backing = 1,
          .access = kRemoteRead | kRemoteWrite,
          .domain = 1};
}

Request request(std::uint32_t rkey, std::uint64_t address, std::uint64_t length) {
  return {.rkey = rkey, .address = address, .length = length, .access = kRemoteWrite, .domain = 1};
}

TEST(CheckRequest, BoundsDoNotOverflow) {
  const Region high = region(UINT64_MAX - 99, 100);
  EXPECT_EQ(check_request(high, request(1, UINT64_MAX - 99, 100)), Outcome::kPlaced);
  EXPECT_EQ(check_request(high, request(1, UINT64_MAX - 98, 100)), Outcome::kOutOfBounds);
  EXPECT_EQ(check_request(high, request(1, UINT64_MAX, UINT64_MAX)), Outcome::kOutOfBounds);
  EXPECT_EQ(check_request(high, request(1, 0, 1)), Outcome::kOutOfBounds);
}

TEST(RegionTable, AKeyIsGoodUntilItIsRevokedAndNeverAgain) {
  const auto table = RegionTable::create(2).value();
  const auto view = RegionTableView::attach(table->fd(), table->size()).value();
  std::set<std::uint32_t> keys;
  Region found;
  for (int i = 0; i < 1000; ++i) {
    const std::uint32_t rkey = table->add(region(4096, 4096)).value();
    EXPECT_TRUE(keys.insert(rkey).second);
    EXPECT_EQ(view.check(request(rkey, 4096, 1), &found), Outcome::kPlaced);
    EXPECT_EQ(found.backing_offset, 8192);
    ASSERT_TRUE(table->remove(rkey, {}, 0s));
    EXPECT_EQ(view.check(request(rkey, 4096, 1), &found), Outcome::kUnknownKey);
  }
}

TEST(RegionTable, IsFullWithAnError) {
  const auto table = RegionTable::create(1).value();
  const std::uint32_t rkey = table->add(region(0, 1)).value();
  EXPECT_FALSE(table->add(region(0, 1)));
  ASSERT_TRUE(table->remove(rkey, {}, 0s));
  EXPECT_TRUE(table->add(region(0, 1)));
}

TEST(RegionTable, RevocationWaitsForAPlacementUnderWay) {
  const auto table = RegionTable::create(4).value();
  const auto view = RegionTableView::attach(table->fd(), table->size()).value();
  const std::uint32_t rkey = table->add(region(0, 1)).value();
  InFlight in_flight{};
  in_flight.owner.take();
  in_flight.begin(rkey);
  const std::array<const InFlight*, 1> initiators{&in_flight};
  const auto stuck = table->remove(rkey, initiators, 1ms);
  ASSERT_FALSE(stuck);
  EXPECT_EQ(stuck.error().kind, tideline::ErrorKind::kPeer);
  Region found;
  EXPECT_EQ(view.check(request(rkey, 0, 1), &found), Outcome::kUnknownKey);

  in_flight.end();
  EXPECT_TRUE(table->remove(rkey, initiators, 1ms));
  in_flight.owner.release();
}

TEST(RegionTable, ADeadInitiatorHoldsNothingUp) {
  const auto table = RegionTable::create(4).value();
  const std::uint32_t rkey = table->add(region(0, 1)).value();
  InFlight in_flight{};
  std::thread([&] {
    in_flight.owner.take();
    in_flight.begin(rkey);
  }).join();
  EXPECT_FALSE(in_flight.owner.owner_lives());
  const std::array<const InFlight*, 1> initiators{&in_flight};
  EXPECT_TRUE(table->remove(rkey, initiators, 0s));
}

TEST(RegionTable, AReaderNeverSeesHalfAnEntry) {
  const auto table = RegionTable::create(1).value();
  const auto view = RegionTableView::attach(table->fd(), table->size()).value();
  std::atomic<std::uint32_t> current{0};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> found{0};
  std::uint64_t torn = 0;
  std::thread reader([&] {
    while (!stop.load()) {
      const std::uint32_t rkey = current.load();
      Region seen;
      // Base and length are tied to each other and to the key.
      if (view.check({.rkey = rkey, .domain = 1}, &seen) == Outcome::kUnknownKey) continue;
      ++found;
      if (seen.base != rkey || seen.backing_offset != seen.base + seen.length) ++torn;
    }
  });
  std::uint32_t rkey = table->add(region(0, 1)).value();
  for (std::uint64_t i = 0; i < 200000 || found.load() < 1000; ++i) {
    if (i % 64 == 0) std::this_thread::yield();  // so that the reader meets good entries, too
    ASSERT_TRUE(table->remove(rkey, {}, 0s));
    // The next key is the next generation of the same entry; generation 0 is skipped.
    std::uint32_t next = rkey + 4096;
    if (next < 4096) next += 4096;
    rkey = table->add(region(next, i)).value();
    ASSERT_EQ(rkey, next);
    current = rkey;
  }
  stop = true;
  reader.join();
  EXPECT_GE(found, 1000);
  EXPECT_EQ(torn, 0);
}

TEST(RegionTable, AttachRefusesWhatIsNoTable) {
  const auto table = RegionTable::create(8).value();
  EXPECT_TRUE(RegionTableView::attach(table->fd(), table->size()));
  EXPECT_FALSE(RegionTableView::attach(table->fd(), table->size() + 4096));
  EXPECT_FALSE(RegionTableView::attach(0, table->size()));
}

}  // namespace
}  // namespace proofs::placement
