// SPDX-License-Identifier: Apache-2.0
// The two sides of a completion queue on two threads; also under ThreadSanitizer.
#include "rdma/completion_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "rdma/test_network.h"

namespace tideline::rdma {
namespace {

TEST(CompletionQueue, HandsCompletionsToAnotherThreadInOrderAndOnce) {
  constexpr std::uint64_t kCount = 5000;
  Network net;
  CompletionQueue& cq = *net.a.context->create_cq(64).value();
  std::jthread engine([&] {
    for (std::uint64_t id = 0; id < kCount;) {
      if (cq.size() == cq.entries()) {
        std::this_thread::yield();
      } else {
        ASSERT_TRUE(cq.push({.wr_id = id, .byte_len = static_cast<std::uint32_t>(id)}));
        ++id;
      }
    }
  });
  std::array<Completion, 7> some;
  for (std::uint64_t expected = 0; expected < kCount;) {
    const std::size_t count = cq.poll(some);
    if (count == 0) std::this_thread::yield();
    for (std::size_t i = 0; i < count; ++i, ++expected) {
      ASSERT_EQ(some.at(i).wr_id, expected);
      ASSERT_EQ(some.at(i).byte_len, static_cast<std::uint32_t>(expected));
    }
  }
}

// Whoever asks, looks again and sleeps is woken: no completion falls in between.
TEST(CompletionQueue, ASleeperIsAlwaysWoken) {
  constexpr std::uint64_t kCount = 300;
  Network net;
  CompletionQueue& cq = *net.a.context->create_cq(64).value();
  std::atomic<std::uint64_t> taken{0};
  std::jthread engine([&] {
    for (std::uint64_t id = 0; id < kCount; ++id) {
      ASSERT_TRUE(cq.push({.wr_id = id}));
      // One at a time: a missed announcement would stop both for ever.
      while (taken.load() <= id) std::this_thread::yield();
    }
  });
  std::array<Completion, 1> one;
  for (std::uint64_t id = 0; id < kCount;) {
    const int before = net.a.announced.load();
    cq.request_notification(CompletionQueue::Notify::kAny);
    if (cq.poll(one) == 0) {
      // The queue is not looked at here: only the announcement ends the sleep.
      while (net.a.announced.load() == before) std::this_thread::yield();
      continue;
    }
    taken.store(++id);
  }
}

TEST(CompletionQueue, AnOverrunIsForGood) {
  Network net;
  CompletionQueue& cq = *net.a.context->create_cq(2).value();
  EXPECT_TRUE(cq.push({.wr_id = 1}));
  EXPECT_TRUE(cq.push({.wr_id = 2}));
  EXPECT_FALSE(cq.push({.wr_id = 3}));
  std::array<Completion, 4> some;
  EXPECT_EQ(cq.poll(some), 2U);
  EXPECT_FALSE(cq.push({.wr_id = 4})) << "the lost one cannot be made up for";
}

TEST(CompletionQueue, ResizingKeepsWhatWaits) {
  Network net;
  CompletionQueue& cq = *net.a.context->create_cq(4).value();
  for (std::uint64_t id = 1; id <= 3; ++id) EXPECT_TRUE(cq.push({.wr_id = id}));
  EXPECT_FALSE(net.a.context->resize_cq(cq, 2)) << "three wait";
  EXPECT_TRUE(net.a.context->resize_cq(cq, 100));
  EXPECT_EQ(cq.entries(), 128U);
  std::array<Completion, 4> some;
  ASSERT_EQ(cq.poll(some), 3U);
  EXPECT_EQ(some[2].wr_id, 3U);
}

TEST(CompletionQueue, WhatWaitsOfAQueuePairIsDiscarded) {
  Network net;
  CompletionQueue& cq = *net.a.context->create_cq(4).value();
  std::array<Completion, 4> some;
  // So that it wraps.
  for (std::uint64_t id = 1; id <= 3; ++id) EXPECT_TRUE(cq.push({.wr_id = id}));
  ASSERT_EQ(cq.poll(some), 3U);
  for (std::uint32_t id = 1; id <= 4; ++id) EXPECT_TRUE(cq.push({.wr_id = id, .qp_num = id % 2}));
  cq.discard(1);
  ASSERT_EQ(cq.poll(some), 2U);
  EXPECT_EQ(some[0].wr_id, 2U);
  EXPECT_EQ(some[1].wr_id, 4U);
  for (std::uint64_t id = 1; id <= 4; ++id) EXPECT_TRUE(cq.push({.wr_id = id}));
  EXPECT_EQ(cq.size(), 4U);
}

}  // namespace
}  // namespace tideline::rdma
