// SPDX-License-Identifier: Apache-2.0
// Pools: exhaustion, their memory, and packets that die on other threads (under TSan too).
#include "packet/pool.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "base/random.h"
#include "packet/copy.h"
#include "packet/test_packet.h"
#include "ring/mpmc_ring.h"

namespace tideline::packet {
namespace {

TEST(Pool, ExhaustionIsCountedAndGivesNull) {
  const auto pool = make_pool(3, 1);
  std::array<PacketPtr, 5> packets;
  EXPECT_EQ(pool->get_burst(packets), 3U);
  EXPECT_EQ(pool->stats().exhausted, 1U);
  EXPECT_EQ(pool->get(), nullptr);
  EXPECT_EQ(pool->get_chain(1), nullptr);
  EXPECT_EQ(pool->stats().exhausted, 3U);
  packets[0].reset();
  EXPECT_EQ(pool->get_chain(2 * kSegmentSize), nullptr);
  EXPECT_EQ(pool->in_use(), 2U) << "a chain is taken whole or not at all";
  EXPECT_NE(pool->get(), nullptr);
}

TEST(Pool, AChainHasExactlyTheSegmentsItNeeds) {
  const auto pool = make_pool(64);
  for (const std::size_t size : {1UL, kSegmentSize - kHeadroom, kSegmentSize - kHeadroom + 1,
                                 2 * kSegmentSize - kHeadroom, 65'536UL}) {
    PacketPtr packet = pool->get_chain(size);
    ASSERT_NE(packet, nullptr);
    EXPECT_EQ(packet->size(), size);
    EXPECT_EQ(packet->first().headroom(), kHeadroom);
    EXPECT_EQ(packet->segment_count(), (size + kHeadroom + kSegmentSize - 1) / kSegmentSize);
    EXPECT_EQ(pool->in_use(), packet->segment_count());
  }
}

TEST(Pool, BuffersLieInOneRegionThatOthersMayOnlyRead) {
  const auto pool = make_pool(2048);
  PacketPtr packet = pool->get();
  const auto region = pool->memory();
  EXPECT_GE(region.size(), 2048 * kSegmentSize);
  EXPECT_GE(packet->first().bytes().data(), region.data());
  EXPECT_LT(packet->first().bytes().data(), region.data() + region.size());
  packet->append(1)[0] = std::byte{42};
  auto reader = Mapping::map(pool->fd(), region.size(), Access::kReadOnly);
  ASSERT_TRUE(reader.has_value());
  EXPECT_EQ(reader->data()[packet->first().bytes().data() - region.data()], std::byte{42});
  EXPECT_FALSE(Mapping::map(pool->fd(), region.size(), Access::kReadWrite).has_value());
}

TEST(Pool, WorksOnNormalPagesToo) {
  auto pool = Pool::create({.segments = 2048, .huge_pages = false});
  ASSERT_TRUE(pool.has_value());
  EXPECT_EQ((*pool)->pages(), Pages::kNormal);
  EXPECT_NE((*pool)->get(), nullptr);
}

TEST(Pool, WhatDiesElsewhereComesBackAtReclaim) {
  const auto pool = make_pool(4, 1);
  std::atomic<std::thread::id> released_on;
  const std::array<std::byte, 100> memory{};
  PacketPtr packet = pool->get_chain(3000);
  packet->append(pool->lend({.memory = memory,
                             .release =
                                 [](void* context, std::span<const std::byte>) {
                                   *static_cast<std::atomic<std::thread::id>*>(context) =
                                       std::this_thread::get_id();
                                 },
                             .context = &released_on}));
  std::jthread([&packet] { packet.reset(); }).join();
  EXPECT_EQ(pool->in_use(), 3U);
  EXPECT_EQ(released_on.load(), std::thread::id());
  pool->reclaim();
  EXPECT_EQ(pool->in_use(), 0U);
  EXPECT_EQ(pool->stats().foreign_returns, 3U);
  EXPECT_EQ(released_on.load(), std::this_thread::get_id()) << "release runs on the pool's thread";
}

TEST(Pool, AnEmptyPoolReclaimsBeforeItGivesUp) {
  const auto pool = make_pool(1);
  PacketPtr packet = pool->get();
  std::jthread([&packet] { packet.reset(); }).join();
  EXPECT_NE(pool->get(), nullptr);
  EXPECT_EQ(pool->stats().exhausted, 0U);
}

TEST(Pool, AnotherThreadMayAdoptIt) {
  const auto pool = make_pool(2);
  PacketPtr kept = pool->get();
  pool->disown();
  std::jthread([&] {
    pool->adopt();
    kept.reset();
    EXPECT_EQ(pool->in_use(), 0U);
    EXPECT_NE(pool->get(), nullptr);
    pool->disown();
  }).join();
  pool->adopt();
  EXPECT_EQ(pool->stats().foreign_returns, 0U);
}

// A worker of the test below: sends packets round, chains them with what it got, and frees them
// wherever they are.
struct Worker {
  using Ring = ring::MpmcRing<Packet*>;

  std::unique_ptr<Pool> pool;
  std::uint64_t lent = 0;
  std::uint64_t released = 0;  // written by the pool's owner only

  void round(Ring& ring, Rng& rng) {
    static const std::array<std::byte, 64> memory{};
    PacketPtr packet = pool->get_chain(1 + rng.below(4000));
    PacketPtr borrowed = pool->lend(
        {.memory = memory,
         .release = [](void* context,
                       std::span<const std::byte>) { ++*static_cast<std::uint64_t*>(context); },
         .context = &released});
    if (borrowed != nullptr) ++lent;
    if (packet != nullptr && borrowed != nullptr) packet->append(std::move(borrowed));
    Packet* received = nullptr;
    if (ring.pop(received)) {
      PacketPtr theirs(received);
      if (packet != nullptr && rng.below(2) == 0) packet->append(std::move(theirs));
    }
    if (packet != nullptr && packet->segment_count() < 20) {
      Packet* sent = packet.release();
      if (!ring.push(sent)) packet.reset(sent);
    }
    if (rng.below(8) == 0) pool->reclaim();
  }

  void run(Ring ring, std::uint64_t seed) {
    constexpr int kRounds = 20'000;
    pool->adopt();
    Rng rng(seed);
    for (int i = 0; i < kRounds; ++i) round(ring, rng);
    pool->disown();
  }
};

// Every loan must be released once, and every segment come home.
TEST(Pool, WorkersMayFreeEachOthersPackets) {
  struct alignas(kCacheLine) Line {
    std::array<std::byte, kCacheLine> bytes;
  };
  std::vector<Line> lines(Worker::Ring::bytes(64) / sizeof(Line));
  auto exchange = Worker::Ring::create(reinterpret_cast<std::byte*>(lines.data()), 64);
  std::array<Worker, 3> workers;
  for (Worker& worker : workers) {
    worker.pool = make_pool(96, 32);
    worker.pool->disown();
  }
  {
    std::array<std::jthread, 3> threads;
    for (std::size_t i = 0; i < workers.size(); ++i) {
      threads[i] = std::jthread([&, i] { workers[i].run(exchange, i); });
    }
  }
  for (Packet* left = nullptr; exchange.pop(left);) Pool::put(left);
  for (Worker& worker : workers) {
    worker.pool->adopt();
    worker.pool->reclaim();
    EXPECT_EQ(worker.pool->in_use(), 0U);
    EXPECT_EQ(worker.released, worker.lent);
    EXPECT_GT(worker.lent, 0U);
  }
}

}  // namespace
}  // namespace tideline::packet
