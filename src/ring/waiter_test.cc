// SPDX-License-Identifier: Apache-2.0
// The waiter with real threads: items through a ring whose ends sleep, with the spin budget and
// without.
#include "ring/waiter.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>

#include "base/random.h"
#include "ring/bell.h"
#include "ring/spin_budget.h"
#include "ring/spsc_ring.h"

namespace tideline::ring {
namespace {

TEST(Waiter, ReturnsAtOnceWhenThereIsWork) {
  WakeFlag flag;
  Waiter waiter(flag, AdaptiveBudget());
  EXPECT_TRUE(waiter.wait([] { return true; }, [] { FAIL() << "slept"; }));
  EXPECT_EQ(flag.sequence(), 0U);
}

TEST(Waiter, TellsWhenTheSleepEndedWithoutWork) {
  WakeFlag flag;
  Waiter waiter(flag, AdaptiveBudget());
  bool armed = false;
  EXPECT_FALSE(waiter.wait([] { return false; }, [&] { armed = flag.sequence() % 2 == 1; }));
  EXPECT_TRUE(armed);
  EXPECT_EQ(flag.sequence() % 2, 0U);
  EXPECT_EQ(waiter.sleeps(), 1U);
}

TEST(Notifier, RingsOncePerSleep) {
  WakeFlag flag;
  Notifier notifier(flag);
  EXPECT_FALSE(notifier.should_ring());
  flag.arm();
  EXPECT_TRUE(notifier.should_ring());
  EXPECT_FALSE(notifier.should_ring());
  flag.disarm();
  flag.arm();
  EXPECT_TRUE(notifier.should_ring());
}

TEST(Waiter, NoWakeUpIsLostBetweenTwoThreads) {
  constexpr int kItems = 60'000;
  constexpr std::size_t kCapacity = 8;
  alignas(kCacheLine) std::array<std::byte, SpscRing<int>::bytes(kCapacity)> memory{};
  const auto ring = SpscRing<int>::create(memory.data(), kCapacity);
  WakeFlag not_empty;
  WakeFlag not_full;
  const auto consumer_bell = EventBell::create();
  const auto producer_bell = EventBell::create();
  ASSERT_TRUE(consumer_bell.has_value() && producer_bell.has_value());

  std::jthread producing([&] {
    SpscProducer<int> producer(ring);
    Notifier notifier(not_empty);
    Waiter waiter(not_full, AdaptiveBudget());
    Rng rng(5);
    for (int item = 0; item < kItems; ++item) {
      while (!producer.push(item)) {
        waiter.wait([&] { return !producer.full(); }, [&] { producer_bell->sleep(kForever); });
      }
      if (notifier.should_ring()) consumer_bell->ring();
      if (rng.below(64) == 0) std::this_thread::yield();
    }
  });
  SpscConsumer<int> consumer(ring);
  Notifier notifier(not_full);
  Waiter waiter(not_empty, AdaptiveBudget());
  for (int expected = 0; expected < kItems; ++expected) {
    int item = -1;
    while (!consumer.pop(item)) {
      waiter.wait([&] { return !consumer.empty(); }, [&] { consumer_bell->sleep(kForever); });
    }
    ASSERT_EQ(item, expected);
    if (notifier.should_ring()) producer_bell->ring();
  }
}

}  // namespace
}  // namespace tideline::ring
