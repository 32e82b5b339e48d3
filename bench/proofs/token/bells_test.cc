// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/bells.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <memory>
#include <thread>

#include "base/fd.h"

namespace proofs::token {
namespace {

TEST(Bells, SlotsAreTakenGivenBackAndLimited) {
  Endpoint endpoint{};
  for (std::size_t i = 0; i < kSlots; ++i) {
    EXPECT_EQ(add_waiter(endpoint, 3, static_cast<std::uint32_t>(i)), static_cast<int>(i));
  }
  EXPECT_EQ(add_waiter(endpoint, 3, 0), -1);
  remove_waiter(endpoint, 5);
  EXPECT_EQ(add_waiter(endpoint, 1023, 2000), 5);
  EXPECT_EQ(slot_bell(endpoint.slots[5]), 1023U);
  EXPECT_EQ(slot_hint(endpoint.slots[5]), 2000 % kHints);
}

TEST(Bells, OnlySleepersAreRungAndHintsAreTakenOnce) {
  const auto board = std::make_unique<Board>();
  Endpoint endpoint{};
  add_waiter(endpoint, 7, 100);
  int rings = 0;
  const auto ring = [&](std::uint32_t bell) {
    EXPECT_EQ(bell, 7U);
    ++rings;
  };
  notify(endpoint, *board, ring);
  EXPECT_EQ(rings, 0);
  EXPECT_FALSE(arm(board->bells[7]));  // the hint is there: do not sleep
  std::size_t hint = 0;
  take_hints(board->bells[7], [&](std::size_t taken) { hint = taken; });
  EXPECT_EQ(hint, 100U);
  EXPECT_TRUE(arm(board->bells[7]));
  notify(endpoint, *board, ring);
  notify(endpoint, *board, ring);
  EXPECT_EQ(rings, 1);
}

// What hostile words in shared memory can lead to: a bell and a hint within the board, always.
TEST(Bells, AnyWordInASlotStaysWithinTheBoard) {
  const auto board = std::make_unique<Board>();
  Endpoint endpoint{};
  endpoint.used = ~0U;
  for (auto& slot : endpoint.slots) slot = ~0U;
  for (auto& bell : board->bells) bell.armed = 1;
  int rings = 0;
  notify(endpoint, *board, [&](std::uint32_t bell) {
    EXPECT_LT(bell, kMaxBells);
    ++rings;
  });
  EXPECT_EQ(rings, 1);
}

// A producer that hands over numbers one by one to a consumer that sleeps whenever it can: a lost
// wake-up would leave it asleep.
TEST(Bells, NoWakeUpIsLostBetweenTwoThreads) {
  const auto board = std::make_unique<Board>();
  Endpoint endpoint{};
  Bell& bell = board->bells[1];
  const tideline::UniqueFd doorbell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  add_waiter(endpoint, 1, 0);
  std::atomic<std::uint64_t> produced = 0;
  std::atomic<std::uint64_t> consumed = 0;
  constexpr std::uint64_t kCount = 100000;
  std::thread producer([&] {
    for (std::uint64_t i = 1; i <= kCount; ++i) {
      while (i % 8 == 0 && consumed.load(std::memory_order_relaxed) + 1 < i)
        std::this_thread::yield();
      produced.store(i, std::memory_order_release);
      notify(endpoint, *board, [&](std::uint32_t) {
        const std::uint64_t one = 1;
        EXPECT_EQ(::write(doorbell.get(), &one, sizeof(one)), 8);
      });
    }
  });
  std::uint64_t slept = 0;
  bool lost = false;
  while (consumed < kCount && !lost) {
    take_hints(bell, [](std::size_t) {});
    const std::uint64_t seen = produced.load(std::memory_order_acquire);
    if (seen != consumed) {
      consumed = seen;
      continue;
    }
    if (!arm(bell)) continue;
    ++slept;
    pollfd one{.fd = doorbell.get(), .events = POLLIN, .revents = 0};
    lost = ::poll(&one, 1, 20000) != 1;
    std::uint64_t rung = 0;
    EXPECT_EQ(::read(doorbell.get(), &rung, sizeof(rung)), 8);
  }
  producer.join();
  EXPECT_FALSE(lost);
  EXPECT_GT(slept, 0U);
}

}  // namespace
}  // namespace proofs::token
