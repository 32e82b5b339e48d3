// SPDX-License-Identifier: Apache-2.0
// Capabilities and what depends on what; the names of counters.
#include "port/port.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <thread>

#include "port/memory.h"
#include "port/port_test_util.h"

namespace tideline::port {
namespace {

TEST(Capabilities, ScatterGatherNeedsTheChecksum) {
  EXPECT_TRUE(validate({}).has_value());
  EXPECT_TRUE(validate({.tx_checksum = true, .scatter_gather = true}).has_value());
  EXPECT_FALSE(validate({.scatter_gather = true}).has_value());
}

TEST(Capabilities, SegmentationNeedsBoth) {
  for (const auto gso :
       {&Capabilities::tso4, &Capabilities::tso6, &Capabilities::uso, &Capabilities::roce_gso}) {
    Capabilities capabilities;
    capabilities.*gso = true;
    EXPECT_FALSE(validate(capabilities).has_value());
    EXPECT_FALSE(without_unmet(capabilities).*gso);
    capabilities.tx_checksum = true;
    EXPECT_FALSE(validate(capabilities).has_value());
    capabilities.scatter_gather = true;
    EXPECT_TRUE(validate(capabilities).has_value());
    EXPECT_TRUE(without_unmet(capabilities).*gso);
  }
}

TEST(Capabilities, APortWithUnmetOnesIsNotMade) {
  const auto pair = MemoryPort::create_pair({.capabilities = {.tso4 = true}});
  ASSERT_FALSE(pair.has_value());
  EXPECT_EQ(pair.error().kind, ErrorKind::kUsage);
}

TEST(QueueStats, EveryDropHasANameOfItsOwn) {
  std::set<std::string_view> names;
  QueueStats stats;
  for (std::size_t i = 0; i < kDropCount; ++i) {
    names.insert(name_of(static_cast<Drop>(i)));
    stats.drop(static_cast<Drop>(i), i);
  }
  EXPECT_EQ(names.size(), kDropCount);
  EXPECT_FALSE(names.contains(""));
  EXPECT_EQ(stats.dropped(), kDropCount * (kDropCount - 1) / 2);
}

TEST(MemoryPort, QueuesAreWiresOfTheirOwn) {
  const auto pool = testing::make_pool();
  auto pair = MemoryPort::create_pair({.queues = 2});
  ASSERT_TRUE(pair.has_value());
  Burst burst;
  burst.push(testing::make_frame(*pool, 100, 1));
  EXPECT_EQ(pair->left->tx_burst(1, burst, Instant{}), 1U);
  EXPECT_EQ(pair->right->rx_burst(0, burst, Instant{}), 0U);
  const Instant now{std::chrono::seconds(5)};
  ASSERT_EQ(pair->right->rx_burst(1, burst, now), 1U);
  EXPECT_EQ(burst[0]->meta().queue, 1U);
  EXPECT_EQ(burst[0]->meta().timestamp, now);
}

TEST(MemoryPort, TellsItsRoom) {
  const auto pool = testing::make_pool();
  auto pair = MemoryPort::create_pair({.capacity = 4});
  ASSERT_TRUE(pair.has_value());
  EXPECT_EQ(pair->left->tx_room(0), 4U);
  Burst burst;
  for (std::uint32_t i = 0; i < 6; ++i) burst.push(testing::make_frame(*pool, 100, i));
  EXPECT_EQ(pair->left->tx_burst(0, burst, Instant{}), 4U);
  EXPECT_EQ(pair->left->stats(0).dropped(Drop::kTxFull), 2U);
  EXPECT_EQ(pair->left->tx_room(0), 0U);
  EXPECT_EQ(pool->in_use(), 4U);
}

// Each end on a thread of its own, the receiver asleep whenever it has nothing to do: no frame is
// lost, and no wake-up. Its packets die far from their pool.
TEST(MemoryPort, EndsMayLiveOnDifferentThreads) {
  constexpr std::uint32_t kFrames = 20'000;
  const auto pool = testing::make_pool(1024);
  auto pair = MemoryPort::create_pair({.capacity = 64});
  ASSERT_TRUE(pair.has_value());
  std::jthread receiver([&pair] {
    std::uint32_t expected = 0;
    EXPECT_TRUE(testing::receive_until(
        *pair->right, 0,
        [&expected](const Packet& frame) {
          EXPECT_EQ(testing::sequence_of(testing::bytes_of(frame)), expected);
          return ++expected == kFrames;
        },
        std::chrono::seconds(60)));
  });
  for (std::uint32_t next = 0; next < kFrames;) {
    const std::size_t room = std::min<std::size_t>(pair->left->tx_room(0), kFrames - next);
    Burst burst;
    while (burst.size() < room) {
      PacketPtr frame = testing::make_frame(*pool, 60, next);
      if (frame == nullptr) break;
      burst.push(std::move(frame));
      ++next;
    }
    const std::size_t size = burst.size();
    EXPECT_EQ(pair->left->tx_burst(0, burst, Instant{}), size);
    if (size == 0) std::this_thread::yield();
  }
  receiver.join();
  EXPECT_EQ(pair->left->stats(0).dropped(), 0U);
}

}  // namespace
}  // namespace tideline::port
