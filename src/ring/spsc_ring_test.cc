// SPDX-License-Identifier: Apache-2.0
// Model test: random bursts against a std::deque. Stress: two threads, every item checked (under
// TSan too).
#include "ring/spsc_ring.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "ring/test_ring_memory.h"

namespace tideline::ring {
namespace {

using SpscMemory = RingMemory<SpscRing<std::uint64_t>>;

TEST(SpscRing, BehavesAsABoundedQueue) {
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  for (const std::size_t capacity : {1UL, 2UL, 8UL, 64UL}) {
    SpscMemory memory(capacity);
    SpscProducer<std::uint64_t> producer(memory.ring);
    SpscConsumer<std::uint64_t> consumer(memory.ring);
    std::deque<std::uint64_t> model;
    std::uint64_t next = 0;
    std::array<std::uint64_t, 80> burst{};
    for (int i = 0; i < 20'000; ++i) {
      const std::size_t size = rng.below(burst.size() + 1);
      if (rng.below(2) == 0) {
        for (std::size_t k = 0; k < size; ++k) burst[k] = next + k;
        const std::size_t pushed = producer.push_burst({burst.data(), size});
        ASSERT_EQ(pushed, std::min(size, capacity - model.size()));
        for (std::size_t k = 0; k < pushed; ++k) model.push_back(next++);
      } else {
        const std::size_t popped = consumer.pop_burst({burst.data(), size});
        ASSERT_EQ(popped, std::min(size, model.size()));
        for (std::size_t k = 0; k < popped; ++k) {
          ASSERT_EQ(burst[k], model.front());
          model.pop_front();
        }
      }
      ASSERT_EQ(consumer.empty(), model.empty());
      ASSERT_EQ(producer.full(), model.size() == capacity);
    }
  }
}

TEST(SpscRing, AnEndThatAttachesLaterGoesOnWhereTheRingStands) {
  SpscMemory memory(4);
  SpscProducer<std::uint64_t> first(memory.ring);
  ASSERT_TRUE(first.push(1));
  ASSERT_TRUE(first.push(2));
  SpscProducer<std::uint64_t> second(memory.ring);
  ASSERT_TRUE(second.push(3));
  SpscConsumer<std::uint64_t> consumer(memory.ring);
  std::array<std::uint64_t, 4> items{};
  ASSERT_EQ(consumer.pop_burst(items), 3U);
  EXPECT_EQ(items[2], 3U);
}

TEST(SpscRing, TwoThreadsTransferEverythingInOrder) {
  constexpr std::uint64_t kItems = 400'000;
  SpscMemory memory(256);
  std::jthread producing([&] {
    SpscProducer<std::uint64_t> producer(memory.ring);
    Rng rng(3);
    std::array<std::uint64_t, 32> burst{};
    for (std::uint64_t next = 0; next < kItems;) {
      const std::size_t size = std::min<std::uint64_t>(1 + rng.below(32), kItems - next);
      for (std::size_t k = 0; k < size; ++k) burst[k] = next + k;
      const std::size_t pushed = producer.push_burst({burst.data(), size});
      next += pushed;
      if (pushed == 0) std::this_thread::yield();
    }
  });
  SpscConsumer<std::uint64_t> consumer(memory.ring);
  std::array<std::uint64_t, 32> burst{};
  for (std::uint64_t expected = 0; expected < kItems;) {
    const std::size_t popped = consumer.pop_burst(burst);
    for (std::size_t k = 0; k < popped; ++k) ASSERT_EQ(burst[k], expected++);
    if (popped == 0) std::this_thread::yield();
  }
}

}  // namespace
}  // namespace tideline::ring
