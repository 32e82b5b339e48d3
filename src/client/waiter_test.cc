// SPDX-License-Identifier: Apache-2.0
#include "client/waiter.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <thread>
#include <vector>

namespace tideline::client {
namespace {

std::unique_ptr<Waiter> make_waiter() {
  auto waiter = Waiter::create();
  EXPECT_TRUE(waiter.has_value());
  return std::move(*waiter);
}

std::vector<unsigned> taken(Waiter& waiter) {
  std::vector<unsigned> hints;
  waiter.take_hints([&](unsigned hint) { hints.push_back(hint); });
  return hints;
}

bool is_rung(const Waiter& waiter) {
  pollfd entry{.fd = waiter.doorbell(), .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 0) == 1;
}

TEST(Waiter, HintsComeOnceEachInOrderAndWrapAround) {
  const auto waiter = make_waiter();
  EXPECT_FALSE(waiter->has_hints());
  for (const unsigned hint : {4095U, 0U, 64U, 0U, Waiter::kHints + 63}) waiter->hint(hint);
  EXPECT_TRUE(waiter->has_hints());
  EXPECT_EQ(taken(*waiter), (std::vector<unsigned>{0, 63, 64, 4095}));
  EXPECT_FALSE(waiter->has_hints());
  EXPECT_TRUE(taken(*waiter).empty());
}

TEST(Waiter, RingsOncePerSleepAndNotAtAllForWhoIsAwake) {
  const auto waiter = make_waiter();
  waiter->hint(1);
  EXPECT_FALSE(is_rung(*waiter));
  waiter->arm();
  waiter->hint(2);
  waiter->hint(3);
  std::uint64_t rings = 0;
  ASSERT_EQ(::read(waiter->doorbell(), &rings, sizeof(rings)), static_cast<ssize_t>(sizeof(rings)));
  EXPECT_EQ(rings, 1U);
  waiter->disarm();
  waiter->hint(4);
  EXPECT_FALSE(is_rung(*waiter));
  waiter->arm();
  waiter->hint(5);
  EXPECT_TRUE(is_rung(*waiter));
  waiter->disarm();
}

// Whoever sleeps is woken for each hint that it has not seen, whatever the interleaving.
TEST(Waiter, NoHintIsLostBetweenTwoThreads) {
  constexpr unsigned kRounds = 20000;
  const auto waiter = make_waiter();
  std::atomic<unsigned> seen{0};
  std::thread engine([&] {
    for (unsigned round = 1; round <= kRounds; ++round) {
      waiter->hint(round);
      while (seen.load(std::memory_order_acquire) < round) std::this_thread::yield();
    }
  });
  for (unsigned round = 1; round <= kRounds;) {
    if (!waiter->has_hints()) {
      waiter->arm();
      if (!waiter->has_hints()) {
        std::uint64_t rings = 0;
        EXPECT_EQ(::read(waiter->doorbell(), &rings, sizeof(rings)),
                  static_cast<ssize_t>(sizeof(rings)));
      }
      waiter->disarm();
    }
    waiter->take_hints([&](unsigned hint) {
      EXPECT_EQ(hint, round % Waiter::kHints);
      seen.store(round++, std::memory_order_release);
    });
  }
  engine.join();
}

}  // namespace
}  // namespace tideline::client
