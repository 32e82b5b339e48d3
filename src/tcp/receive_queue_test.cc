// SPDX-License-Identifier: Apache-2.0
// The receive queue against a plain string, with holes; its memory; and what short memory does to
// its window.
#include "tcp/receive_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "packet/pool.h"
#include "tcp/test_net.h"

namespace tideline::tcp {
namespace {

constexpr std::size_t kChunk = ChunkPool::kChunk;

struct Filled {
  explicit Filled(std::size_t limit = std::size_t{16} << 20) : chunks(limit) {
    queue.reset(std::size_t{8} << 20);
  }

  bool put(std::uint64_t offset, std::size_t size) {
    packet::PacketPtr packet = packets->get_chain(size);
    std::uint64_t at = offset;
    for (packet::Segment* each = &packet->first(); each != nullptr; each = each->next()) {
      for (std::byte& byte : each->writable()) byte = test::byte_at(1, at++);
    }
    return queue.put(offset, std::move(packet), passes);
  }
  // Whether all that is there is right; consumes it.
  bool take(std::size_t most) {
    most = std::min(most, queue.readable());
    while (most > 0) {
      const auto piece = queue.front().first(std::min(most, queue.front().size()));
      for (const std::byte byte : piece) {
        if (byte != test::byte_at(1, taken++)) return false;
      }
      queue.consume(piece.size());
      most -= piece.size();
    }
    return true;
  }

  std::unique_ptr<packet::Pool> packets = *packet::Pool::create({.segments = 256, .loans = 16});
  packet::PassCounter passes;
  ChunkPool chunks;
  ReceiveQueue queue{chunks};
  std::uint64_t taken = 0;
};

TEST(ReceiveQueue, GivesTheStreamWhateverTheOrderOfItsPieces) {
  Filled filled;
  Rng rng(3);
  std::uint64_t done = 0;
  for (int i = 0; i < 300; ++i) {
    // A piece behind a hole, the hole, and the piece again.
    const std::size_t hole = 1 + static_cast<std::size_t>(rng.below(60'000));
    const std::size_t piece = 1 + static_cast<std::size_t>(rng.below(60'000));
    ASSERT_TRUE(filled.put(done + hole, piece));
    if (rng.below(2) == 0) {
      ASSERT_TRUE(filled.put(done + hole, piece));
    }
    ASSERT_TRUE(filled.put(done, hole));
    done += hole + piece;
    filled.queue.publish(done);
    ASSERT_TRUE(filled.take(static_cast<std::size_t>(rng.below(200'000))));
  }
  ASSERT_TRUE(filled.take(SIZE_MAX));
  EXPECT_EQ(filled.taken, done);
  EXPECT_EQ(filled.chunks.in_use(), 0U);
}

TEST(ReceiveQueue, HoldsMemoryOnlyWhereBytesAre) {
  Filled filled;
  ASSERT_TRUE(filled.put(5 * kChunk + 7, 1));
  EXPECT_EQ(filled.chunks.in_use(), kChunk);
  ASSERT_TRUE(filled.put(0, 1));
  EXPECT_EQ(filled.chunks.in_use(), 2 * kChunk);
  filled.queue.publish(1);
  ASSERT_TRUE(filled.take(1));
  EXPECT_EQ(filled.chunks.in_use(), 2 * kChunk);  // what lies behind the hole stays
  filled.queue.reset(1 << 20);
  EXPECT_EQ(filled.chunks.in_use(), 0U);
}

TEST(ReceiveQueue, TakesAllOrNothing) {
  Filled filled(16 * kChunk);
  ASSERT_TRUE(filled.put(0, 3 * kChunk));
  EXPECT_FALSE(filled.put(3 * kChunk, 10 * kChunk));
  filled.queue.publish(3 * kChunk);
  ASSERT_TRUE(filled.take(SIZE_MAX));
  EXPECT_EQ(filled.chunks.in_use(), 0U);
  EXPECT_TRUE(filled.put(3 * kChunk, kChunk));
}

TEST(ReceiveQueue, PromisesAsMuchAsItsOwnersPaceAsksFor) {
  Filled filled;
  EXPECT_EQ(filled.queue.limit(), ReceiveQueue::kFirstWindow);
  filled.queue.want(1 << 20);
  EXPECT_EQ(filled.queue.limit(), 1U << 20);
  filled.queue.want(1);
  EXPECT_EQ(filled.queue.limit(), 1U << 20);
  filled.queue.want(1 << 30);
  EXPECT_EQ(filled.queue.limit(), 8U << 20);
}

TEST(ReceiveQueue, PromisesLittleWhileMemoryIsShortAndTakesNothingBack) {
  Filled filled(64 * kChunk);
  const std::uint64_t granted = filled.queue.limit();
  ASSERT_TRUE(filled.put(0, 1000));
  filled.queue.publish(1000);
  std::vector<std::byte*> others;
  while (filled.chunks.in_use() <= 50 * kChunk) {
    others.push_back(filled.chunks.take(ChunkPool::Use::kReceive, 0));
  }
  filled.queue.want(1 << 20);
  ASSERT_TRUE(filled.take(1000));
  EXPECT_EQ(filled.queue.limit(), granted);
  for (std::byte* chunk : others) filled.chunks.give(chunk);
  EXPECT_EQ(filled.queue.limit(), 1000 + ReceiveQueue::kFirstWindow);
}

// Else what lies behind it, which nobody can read, would keep its memory for ever.
TEST(ReceiveQueue, AHoleIsFilledThoughMemoryIsShort) {
  Filled filled(64 * kChunk);
  ASSERT_TRUE(filled.put(kChunk, 4 * kChunk));
  std::vector<std::byte*> others;
  while (filled.chunks.in_use() <= 50 * kChunk) {
    others.push_back(filled.chunks.take(ChunkPool::Use::kReceive, 0));
  }
  EXPECT_FALSE(filled.put(5 * kChunk, kChunk));
  EXPECT_TRUE(filled.put(0, kChunk));
  for (std::byte* chunk : others) filled.chunks.give(chunk);
}

TEST(ChunkPool, GivesTheMoreSparinglyTheLessIsLeft) {
  ChunkPool pool(64 * kChunk);
  std::vector<std::byte*> taken;
  const auto take_all = [&](ChunkPool::Use use, std::size_t held) {
    while (std::byte* chunk = pool.take(use, held)) taken.push_back(chunk);
    return taken.size();
  };
  EXPECT_EQ(take_all(ChunkPool::Use::kReceive, 100), 48U);
  EXPECT_TRUE(pool.is_short());
  EXPECT_EQ(take_all(ChunkPool::Use::kSend, ChunkPool::kShare), 48U);
  EXPECT_EQ(take_all(ChunkPool::Use::kReceive, ChunkPool::kShare - 1), 56U);
  EXPECT_TRUE(pool.is_full());
  EXPECT_EQ(take_all(ChunkPool::Use::kReceive, ChunkPool::kLeast), 56U);
  EXPECT_EQ(take_all(ChunkPool::Use::kReceive, ChunkPool::kLeast - 1), 60U);
  EXPECT_TRUE(pool.can_send());
  EXPECT_EQ(take_all(ChunkPool::Use::kSend, 0), 64U);
  EXPECT_FALSE(pool.can_send());
  for (std::byte* chunk : taken) pool.give(chunk);
  EXPECT_EQ(pool.in_use(), 0U);
}

}  // namespace
}  // namespace tideline::tcp
