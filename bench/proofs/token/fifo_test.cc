// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/fifo.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "base/random.h"
#include "proofs/token/shared_lock.h"

namespace proofs::token {
namespace {

struct Fifo {
  Direction control{};
  std::vector<std::byte> data{kFifoBytes};
};

std::size_t put(Fifo& fifo, std::span<const std::byte> bytes) {
  const auto space = room(fifo.control, fifo.data.data(), bytes.size());
  if (!space) return 0;
  const std::size_t done = copy_in(*space, bytes);
  publish(fifo.control, done);
  return done;
}

std::size_t take(Fifo& fifo, std::span<std::byte> bytes) {
  const auto there = contents(fifo.control, fifo.data.data());
  if (!there) return 0;
  const std::size_t done = copy_out(bytes, *there);
  consume(fifo.control, done);
  return done;
}

TEST(Fifo, HoldsExactlyItsSizeAndKeepsTheOrderOverTheWrap) {
  Fifo fifo;
  std::vector<std::byte> in(kFifoBytes + 10);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::byte>(i * 7);
  std::vector<std::byte> out(in.size());
  EXPECT_EQ(put(fifo, in), kFifoBytes);
  EXPECT_EQ(put(fifo, in), 0U);
  EXPECT_FALSE(writable(fifo.control));
  EXPECT_EQ(take(fifo, std::span(out).first(1000)), 1000U);
  EXPECT_EQ(put(fifo, std::span(in).subspan(kFifoBytes)), 10U);
  EXPECT_EQ(take(fifo, std::span(out).subspan(1000)), kFifoBytes - 990);
  EXPECT_EQ(in, out);
  EXPECT_EQ(used_bytes(fifo.control), 0U);
}

TEST(Fifo, IndicesThatMakeNoSenseAreRefused) {
  Fifo fifo;
  std::array<std::byte, 8> bytes{};
  fifo.control.head = kFifoBytes + 1;
  EXPECT_FALSE(contents(fifo.control, fifo.data.data()));
  fifo.control.head = 0;
  fifo.control.tail = 5;  // ahead of the producer
  fifo.control.tail_seen = 5;
  EXPECT_FALSE(room(fifo.control, fifo.data.data(), bytes.size()));
}

TEST(Fifo, RestSkipsOverBothParts) {
  Fifo fifo;
  const Piece piece = piece_at(fifo.data.data(), kFifoBytes - 4, 10);
  EXPECT_EQ(piece.first.size(), 4U);
  EXPECT_EQ(rest(piece, 3).first.size(), 1U);
  EXPECT_EQ(rest(piece, 3).second.size(), 6U);
  EXPECT_EQ(rest(piece, 4).size(), 6U);
  EXPECT_EQ(rest(piece, 7).first.data(), fifo.data.data() + 3);
  EXPECT_EQ(rest(piece, 10).size(), 0U);
}

TEST(Fifo, TwoThreadsMoveAStreamUnchanged) {
  Fifo fifo;
  constexpr std::size_t kTotal = 8'000'000;
  std::thread producer([&] {
    tideline::Rng sizes(1);
    std::vector<std::byte> bytes(5000);
    for (std::size_t sent = 0; sent < kTotal;) {
      const std::size_t size = std::min<std::size_t>(1 + sizes.below(bytes.size()), kTotal - sent);
      for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<std::byte>((sent + i) * 31 >> 3);
      const std::size_t done = put(fifo, std::span(bytes).first(size));
      if (done == 0) std::this_thread::yield();
      sent += done;
    }
  });
  std::vector<std::byte> bytes(7000);
  std::size_t wrong = 0;
  for (std::size_t got = 0; got < kTotal;) {
    const std::size_t done = take(fifo, bytes);
    if (done == 0) std::this_thread::yield();
    for (std::size_t i = 0; i < done; ++i) {
      if (bytes[i] != static_cast<std::byte>((got + i) * 31 >> 3)) ++wrong;
    }
    got += done;
  }
  producer.join();
  EXPECT_EQ(wrong, 0U);
}

TEST(SharedLock, ExcludesOthersAndIsTakenFromTheDead) {
  const auto board = std::make_unique<Board>();
  const Owner living{.incarnation = 5, .process = 1};
  const Owner dead{.incarnation = 4, .process = 2};
  board->alive[1] = 5;
  board->alive[2] = 9;  // the slot has a new owner
  std::atomic<std::uint64_t> word = dead.word();
  long counter = 0;
  const auto count = [&] {
    for (int i = 0; i < 20000; ++i) {
      const SharedLock lock(word, living, *board);
      ++counter;
    }
  };
  std::thread one(count);
  std::thread two(count);
  one.join();
  two.join();
  EXPECT_EQ(counter, 40000);
  EXPECT_EQ(word, 0U);
}

}  // namespace
}  // namespace proofs::token
