// SPDX-License-Identifier: Apache-2.0
// Model test: random bursts against a std::deque. Stress: several producers and consumers, every
// item seen once and each producer's in order (under TSan too).
#include "ring/mpmc_ring.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <deque>
#include <thread>
#include <vector>

#include "base/random.h"
#include "ring/test_ring_memory.h"

namespace tideline::ring {
namespace {

using MpmcMemory = RingMemory<MpmcRing<std::uint64_t>>;

TEST(MpmcRing, BehavesAsABoundedQueue) {
  constexpr std::uint64_t kSeed = 13;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  for (const std::size_t capacity : {2UL, 4UL, 8UL, 64UL}) {
    MpmcMemory memory(capacity);
    auto other = MpmcRing<std::uint64_t>::attach(reinterpret_cast<std::byte*>(memory.lines.data()),
                                                 capacity);
    std::deque<std::uint64_t> model;
    std::uint64_t next = 0;
    std::array<std::uint64_t, 80> burst{};
    for (int i = 0; i < 20'000; ++i) {
      const std::size_t size = rng.below(burst.size() + 1);
      if (rng.below(2) == 0) {
        for (std::size_t k = 0; k < size; ++k) burst[k] = next + k;
        const std::size_t pushed = memory.ring.push_burst({burst.data(), size});
        ASSERT_EQ(pushed, std::min(size, capacity - model.size()));
        for (std::size_t k = 0; k < pushed; ++k) model.push_back(next++);
      } else {
        const std::size_t popped = other.pop_burst({burst.data(), size});
        ASSERT_EQ(popped, std::min(size, model.size()));
        for (std::size_t k = 0; k < popped; ++k) {
          ASSERT_EQ(burst[k], model.front());
          model.pop_front();
        }
      }
      ASSERT_EQ(other.empty(), model.empty());
    }
  }
}

// Each item is (producer << 32 | number); what one consumer gets of one producer must rise, and
// all together must get every number once.
TEST(MpmcRing, ManyThreadsTransferEverythingOnce) {
  constexpr std::uint64_t kProducers = 3;
  constexpr std::uint64_t kConsumers = 3;
  constexpr std::uint64_t kItems = 60'000;  // per producer
  MpmcMemory memory(64);
  std::atomic<std::uint64_t> taken{0};
  std::vector<std::vector<std::uint64_t>> received(kConsumers);
  {
    std::vector<std::jthread> threads;
    threads.reserve(kProducers + kConsumers);
    for (std::uint64_t producer = 0; producer < kProducers; ++producer) {
      threads.emplace_back([&memory, producer] {
        auto ring = memory.ring;
        Rng rng(producer);
        std::array<std::uint64_t, 32> burst{};
        for (std::uint64_t next = 0; next < kItems;) {
          const std::size_t size = std::min<std::uint64_t>(1 + rng.below(32), kItems - next);
          for (std::size_t k = 0; k < size; ++k) burst[k] = producer << 32 | (next + k);
          const std::size_t pushed = ring.push_burst({burst.data(), size});
          next += pushed;
          if (pushed == 0) std::this_thread::yield();
        }
      });
    }
    for (std::uint64_t consumer = 0; consumer < kConsumers; ++consumer) {
      threads.emplace_back([&, consumer] {
        auto ring = memory.ring;
        Rng rng(100 + consumer);
        std::array<std::uint64_t, 32> burst{};
        while (taken.load() < kProducers * kItems) {
          const std::size_t popped = ring.pop_burst({burst.data(), 1 + rng.below(32)});
          received[consumer].insert(received[consumer].end(), burst.begin(),
                                    burst.begin() + static_cast<std::ptrdiff_t>(popped));
          taken += popped;
          if (popped == 0) std::this_thread::yield();
        }
      });
    }
  }
  std::vector<std::vector<bool>> seen(kProducers, std::vector<bool>(kItems));
  for (const auto& items : received) {
    std::array<std::uint64_t, kProducers> expected{};
    for (const std::uint64_t item : items) {
      const std::uint64_t producer = item >> 32;
      const std::uint64_t number = item & 0xffffffff;
      ASSERT_LT(producer, kProducers);
      ASSERT_LT(number, kItems);
      ASSERT_GE(number, expected[producer]) << "out of order";
      expected[producer] = number + 1;
      ASSERT_FALSE(seen[producer][number]) << "twice";
      seen[producer][number] = true;
    }
  }
  EXPECT_EQ(taken.load(), kProducers * kItems);
  EXPECT_TRUE(memory.ring.empty());
}

}  // namespace
}  // namespace tideline::ring
