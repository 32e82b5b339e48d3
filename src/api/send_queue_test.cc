// SPDX-License-Identifier: Apache-2.0
// The send queue against a plain string: random writes, loans and releases, and every byte that TCP
// could ask for.
#include "api/send_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "base/random.h"

namespace tideline::api {
namespace {

constexpr std::size_t kLimit = SendQueue::kLeastLimit;

struct Model {
  tcp::ChunkPool pool{1 << 20};
  std::deque<std::vector<std::byte>> lent;
  std::vector<std::byte> stream;
  SendQueue queue{pool};
  Rng rng{7};

  Model() { queue.reset(kLimit); }

  std::vector<std::byte> bytes(std::size_t size) {
    std::vector<std::byte> made(size);
    for (std::byte& byte : made) byte = static_cast<std::byte>(rng());
    return made;
  }
  void write(std::size_t most) {
    const auto space = queue.space();
    const auto made = bytes(std::min(space.size(), most));
    std::ranges::copy(made, space.begin());
    queue.wrote(made.size());
    stream.insert(stream.end(), made.begin(), made.end());
  }
  bool lend(std::size_t size) {
    lent.push_back(bytes(size));
    if (!queue.lend(lent.back())) return false;
    stream.insert(stream.end(), lent.back().begin(), lent.back().end());
    return true;
  }
  void check(std::uint64_t offset) {
    while (offset < queue.end()) {
      const auto piece = queue.at(offset, 9000);
      ASSERT_FALSE(piece.empty());
      ASSERT_TRUE(std::ranges::equal(
          piece, std::span(stream).subspan(static_cast<std::size_t>(offset), piece.size())))
          << offset;
      offset += piece.size();
    }
  }
};

TEST(SendQueue, GivesWhatWasWrittenAndLent) {
  Model model;
  for (int i = 0; i < 4000; ++i) {
    switch (model.rng.below(4)) {
      case 0:
        model.write(1 + static_cast<std::size_t>(model.rng.below(25'000)));
        break;
      case 1:
        if (model.queue.end() - model.queue.released() < 500'000) {
          model.lend(1 + static_cast<std::size_t>(model.rng.below(90'000)));
        }
        break;
      case 2: {
        const std::uint64_t held = model.queue.end() - model.queue.released();
        model.queue.release(model.queue.released() + model.rng.below(held + 1));
        break;
      }
      default:
        model.check(model.queue.released());
    }
    if (HasFatalFailure()) return;
    ASSERT_EQ(model.queue.end(), model.stream.size());
    ASSERT_LE(model.queue.room(), kLimit);
  }
  model.queue.release(model.queue.end());
  EXPECT_EQ(model.queue.room(), kLimit);
  EXPECT_FALSE(model.queue.has_loans());
  EXPECT_EQ(model.pool.in_use(), 0U);
}

TEST(SendQueue, RefusesTooManyLoans) {
  Model model;
  ASSERT_TRUE(model.lend(kLimit - 1));
  ASSERT_TRUE(model.lend(90'000));
  EXPECT_FALSE(model.lend(1));
  model.queue.release(kLimit - 1 + 89'999);
  EXPECT_FALSE(model.lend(1));
  model.queue.release(kLimit - 1 + 90'000);
  for (std::size_t i = 0; i < SendQueue::kMostLoans; ++i) {
    model.write(1);
    ASSERT_TRUE(model.lend(2));
  }
  EXPECT_FALSE(model.lend(1));
  model.check(model.queue.released());
  model.queue.release(model.queue.released() + 3);
  EXPECT_TRUE(model.lend(1));
  model.check(model.queue.released());
}

TEST(SendQueue, WhatIsFullGetsRoomByRelease) {
  Model model;
  while (model.queue.room() > 0) model.write(kLimit);
  EXPECT_TRUE(model.queue.space().empty());
  model.queue.release(100);
  EXPECT_EQ(model.queue.room(), 100U);
  EXPECT_EQ(model.queue.space().size(), 100U);
}

TEST(SendQueue, GrowsWhenTcpWantsMoreUnlessMemoryIsShort) {
  tcp::ChunkPool pool(std::size_t{8} << 20);
  SendQueue queue(pool);
  queue.reset(std::size_t{4} << 20);
  EXPECT_EQ(queue.room(), SendQueue::kFirstLimit);
  queue.want(1 << 20);
  EXPECT_EQ(queue.room(), 1U << 20);
  queue.want(1);
  EXPECT_EQ(queue.room(), 1U << 20);
  queue.want(1 << 30);
  EXPECT_EQ(queue.room(), 4U << 20);

  SendQueue other(pool);
  other.reset(std::size_t{4} << 20);
  std::vector<std::byte*> taken;
  while (!pool.is_short()) taken.push_back(pool.take(tcp::ChunkPool::Use::kSend, 0));
  other.want(1 << 20);
  EXPECT_EQ(other.room(), SendQueue::kFirstLimit);
  for (std::byte* chunk : taken) pool.give(chunk);
}

TEST(SendQueue, SpaceThatIsBeingFilledStays) {
  Model model;
  model.write(10);
  const auto space = model.queue.space();
  model.queue.release(10);
  EXPECT_EQ(model.queue.space().data(), space.data());
  model.queue.wrote(0);
  EXPECT_EQ(model.pool.in_use(), tcp::ChunkPool::kChunk);
}

TEST(SendQueue, IsStarvedWhenMemoryLacksAndNothingOfItIsOnTheWay) {
  tcp::ChunkPool pool(tcp::ChunkPool::kChunk);
  SendQueue queue(pool);
  SendQueue other(pool);
  queue.reset(1 << 20);
  other.reset(1 << 20);
  queue.wrote(queue.space().size());
  EXPECT_TRUE(queue.space().empty());
  EXPECT_FALSE(queue.is_starved());
  EXPECT_TRUE(other.space().empty());
  EXPECT_TRUE(other.is_starved());
  queue.release(queue.end());
  EXPECT_FALSE(other.space().empty());
}

}  // namespace
}  // namespace tideline::api
