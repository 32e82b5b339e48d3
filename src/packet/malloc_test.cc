// SPDX-License-Identifier: Apache-2.0
// The data path allocates nothing after start: this program replaces malloc by one that counts.
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <memory>

#include "base/count_malloc.h"
#include "packet/copy.h"
#include "packet/packet.h"
#include "packet/pool.h"

namespace tideline::packet {
namespace {

TEST(Malloc, IsCounted) {
  const std::size_t before = allocations;
  auto object = std::make_unique<std::array<std::byte, 100>>();
  EXPECT_NE(object, nullptr);
  EXPECT_GT(allocations, before);
}

void exercise(Pool& pool) {
  static const std::array<std::byte, 3000> kMemory{};
  PassCounter passes;
  Burst burst;
  for (int round = 0; round < 100; ++round) {
    while (!burst.full()) burst.push(pool.get());
    burst[0]->append(100);
    burst[0]->append(copy_of(kMemory, pool, passes));
    burst[0]->append(
        pool.lend({.memory = kMemory, .release = [](void*, std::span<const std::byte>) {}}));
    burst[1]->append(std::move(burst[0]));
    burst.compact();
    PacketRef shared(pool.get_chain(3000));
    burst.push(shared.lend(pool, 10, 2500));
    burst[0]->pull_front(200, passes);
    burst[0]->trim_front(300);
    burst[0]->truncate(5000);
    burst.clear();
    PacketPtr too_big = pool.get_chain(1U << 20);  // exhaustion must not allocate either
    pool.reclaim();
  }
}

TEST(Malloc, IsNotCalledByPoolsAndPackets) {
  auto pool = Pool::create({.segments = 128, .loans = 16});
  ASSERT_TRUE(pool.has_value());
  const std::size_t before = allocations;
  exercise(**pool);
  // The path of a foreign thread: a pool without owner gets everything through its ring.
  PacketPtr packet = (*pool)->get();
  (*pool)->disown();
  packet.reset();
  (*pool)->adopt();
  (*pool)->reclaim();
  EXPECT_EQ(allocations, before);
  EXPECT_EQ((*pool)->in_use(), 0U);
  EXPECT_GT((*pool)->stats().exhausted, 0U);
}

}  // namespace
}  // namespace tideline::packet
