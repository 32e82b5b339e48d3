// SPDX-License-Identifier: Apache-2.0
#include "ring/gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace tideline::ring {
namespace {

struct Work {
  std::uint64_t id = 0;
};
using TestGate = Gate<Work>;

// Counts without atomics: a second holder, or work lost or done twice, shows in the sums.
struct Counter {
  std::uint64_t& runs;
  std::uint64_t& done;
  std::uint64_t& sum;
  std::uint64_t room = UINT64_MAX;

  void run() { ++runs; }
  bool ready() const { return done < room; }
  void execute(const Work& work) {
    ++done;
    sum += work.id;
  }
};

struct Sums {
  std::uint64_t runs = 0;
  std::uint64_t done = 0;
  std::uint64_t sum = 0;
  Counter counter() { return {runs, done, sum}; }
};

TEST(Gate, IsClosedUntilOpened) {
  const auto gate = std::make_unique<TestGate>();
  Sums sums;
  Counter holder = sums.counter();
  EXPECT_EQ(gate->enter(holder), Entry::kClosed);
  EXPECT_EQ(gate->submit({1}, holder), Entry::kClosed);
  gate->open();
  EXPECT_EQ(gate->enter(holder), Entry::kRan);
  gate->close(GateState::kPeerLost);
  EXPECT_EQ(gate->enter(holder), Entry::kClosed);
  EXPECT_EQ(gate->state(), GateState::kPeerLost);
  EXPECT_EQ(sums.runs, 1U);
}

// A holder whose run() is a call from elsewhere while the gate is held.
template <typename Body>
struct During {
  TestGate& gate;
  Counter inner;
  Body body;
  void run() { body(); }
  bool ready() const { return inner.ready(); }
  void execute(const Work& work) { inner.execute(work); }
};

TEST(Gate, WorkLeftWhileHeldIsDoneByTheHolder) {
  const auto gate = std::make_unique<TestGate>();
  gate->open();
  Sums sums;
  Entry entry = Entry::kClosed;
  Entry second = Entry::kClosed;
  During holder{*gate, sums.counter(), [&] {
                  Counter other = sums.counter();
                  second = gate->enter(other);
                  entry = gate->submit({7}, other);
                  EXPECT_EQ(sums.done, 0U);
                }};
  EXPECT_EQ(gate->enter(holder), Entry::kRan);
  EXPECT_EQ(second, Entry::kBusy);
  EXPECT_EQ(entry, Entry::kHandedOver);
  EXPECT_EQ(sums.sum, 7U);
  EXPECT_FALSE(gate->held());
}

TEST(Gate, WorkWithoutRoomWaitsForTheNextEntry) {
  const auto gate = std::make_unique<TestGate>();
  gate->open();
  Sums sums;
  During holder{*gate, sums.counter(), [&] {
                  Counter other = sums.counter();
                  for (std::uint64_t i = 0; i < 3; ++i) gate->submit({1}, other);
                }};
  holder.inner.room = 1;
  EXPECT_EQ(gate->enter(holder), Entry::kRan);
  EXPECT_EQ(sums.done, 1U);
  Counter full = sums.counter();
  full.room = 1;
  EXPECT_EQ(gate->submit({1}, full), Entry::kFull);
  Counter roomy = sums.counter();
  EXPECT_EQ(gate->enter(roomy), Entry::kRan);
  EXPECT_EQ(sums.done, 3U);
}

TEST(Gate, AFullListRefuses) {
  const auto gate = std::make_unique<TestGate>();
  gate->open();
  Sums sums;
  std::uint64_t accepted = 0;
  During holder{*gate, sums.counter(), [&] {
                  Counter other = sums.counter();
                  while (gate->submit({1}, other) == Entry::kHandedOver) ++accepted;
                }};
  EXPECT_EQ(gate->enter(holder), Entry::kRan);
  EXPECT_EQ(accepted, HandoffList<Work>::kCells);
  EXPECT_EQ(sums.done, HandoffList<Work>::kCells);
}

// Threads that submit and threads that poll. In the end nobody enters again, so work that was
// appended just as the holder left, and that it had not noticed, would be missing.
TEST(Gate, NoWorkIsLostOrDoneTwice) {
  constexpr int kThreads = 4;
  constexpr std::uint64_t kEach = 20'000;
  constexpr int kRounds = 5;
  for (int round = 0; round < kRounds; ++round) {
    const auto gate = std::make_unique<TestGate>();
    gate->open();
    Sums sums;
    std::atomic<int> submitting{kThreads};
    {
      std::vector<std::jthread> threads;
      threads.reserve(kThreads);
      for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&] {
          Counter holder = sums.counter();
          for (std::uint64_t i = 1; i <= kEach; ++i) {
            while (gate->submit({i}, holder) == Entry::kFull) std::this_thread::yield();
          }
          submitting.fetch_sub(1);
        });
      }
      threads.emplace_back([&] {
        Counter holder = sums.counter();
        while (submitting.load() != 0) gate->enter(holder);
      });
    }
    EXPECT_EQ(sums.done, kThreads * kEach);
    EXPECT_EQ(sums.sum, kThreads * kEach * (kEach + 1) / 2);
    EXPECT_FALSE(gate->held());
  }
}

// The narrowest case: one submitter against one holder that leaves all the time, one piece of work
// in flight.
TEST(Gate, WorkAppendedAsTheHolderLeavesIsNoticed) {
  constexpr std::uint64_t kEach = 100'000;
  const auto gate = std::make_unique<TestGate>();
  gate->open();
  Sums sums;
  std::atomic<bool> stop{false};
  std::uint64_t handed_over = 0;
  {
    const std::jthread poller([&] {
      Counter holder = sums.counter();
      while (!stop.load(std::memory_order_relaxed)) gate->enter(holder);
    });
    Counter holder = sums.counter();
    for (std::uint64_t i = 0; i < kEach; ++i) {
      Entry entry = Entry::kFull;
      while ((entry = gate->submit({1}, holder)) == Entry::kFull) std::this_thread::yield();
      if (entry == Entry::kHandedOver) ++handed_over;
    }
    stop.store(true);
  }
  EXPECT_EQ(sums.done, kEach);
  RecordProperty("handed_over", std::to_string(handed_over));
}

}  // namespace
}  // namespace tideline::ring
