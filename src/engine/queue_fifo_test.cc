// SPDX-License-Identifier: Apache-2.0
// FIFOs that move: docs/queue-pair.md. Both sides of one against a model, then streams that grow
// with need, within the quota, and give memory back when they rest.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/queue_test_client.h"
#include "engine/served_fifo.h"

namespace tideline::engine {
namespace {

using client::Failure;
using queue::Op;

constexpr std::size_t kLeast = FamilyMemory::kLeastFifo;
constexpr std::size_t kKib = 1024;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// --- Both sides of one FIFO.

class ServedFifoTest : public ::testing::Test, private queue::FifoMemory {
 protected:
  ServedFifoTest() {
    EXPECT_TRUE(fifo_.open(*memory_, places_, indices_, kLeast));
    // A neighbour, whose bytes must stay.
    EXPECT_TRUE(other_.open(*memory_, other_places_, other_indices_, kLeast));
    other_.copy_in(0, bytes_of(pattern(0, kLeast)));
  }
  ~ServedFifoTest() override {
    std::string text(kLeast, '\0');
    other_.copy_out(0, std::as_writable_bytes(std::span(text)));
    EXPECT_EQ(text, pattern(0, kLeast));
    fifo_.close();
    other_.close();
    EXPECT_EQ(memory_->fifo_bytes(), 0U);
  }
  queue::FifoView view() { return {*this, places_, indices_}; }
  // To any size, if it can.
  void move() {
    const std::size_t size = kLeast << rng_.below(5);
    if (rng_.below(3) == 0) {
      fifo_.shrink(size);
    } else {
      fifo_.grow(size);
    }
    most_moved_ = std::max(most_moved_, fifo_.size());
  }

  std::shared_ptr<FamilyMemory> memory_ =
      *FamilyMemory::create({.most_memory = std::size_t{4} << 20});
  Rng rng_{3};
  ServedFifo fifo_;
  std::size_t most_moved_ = 0;

 private:
  std::span<std::byte> ring(const queue::FifoPlace& place) override {
    return memory_->bytes(place);
  }

  queue::FifoPlaces places_;
  ring::FifoIndices indices_;
  ServedFifo other_;
  queue::FifoPlaces other_places_;
  ring::FifoIndices other_indices_;
};

TEST_F(ServedFifoTest, WhatAProgramWritesArrivesWhereverItMoves) {
  for (int i = 0; i < 2000; ++i) {
    if (rng_.below(8) == 0) move();
    view().write(bytes_of(pattern(view().written(), rng_.below(40'000))));
    ASSERT_TRUE(fifo_.refresh_written());
    ASSERT_EQ(view().writable(), fifo_.room());
    std::string text(std::min(fifo_.used(), rng_.below(40'000)), '\0');
    fifo_.copy_out(fifo_.consumed(), std::as_writable_bytes(std::span(text)));
    ASSERT_TRUE(text == pattern(fifo_.consumed(), text.size())) << "at " << fifo_.consumed();
    fifo_.set_consumed(fifo_.consumed() + text.size());
  }
  EXPECT_EQ(most_moved_, kLeast << 4);
}

TEST_F(ServedFifoTest, WhatTheEngineWritesArrivesWhereverItMoves) {
  for (int i = 0; i < 2000; ++i) {
    if (rng_.below(8) == 0) move();
    const std::string text = pattern(fifo_.written(), std::min(fifo_.room(), rng_.below(40'000)));
    fifo_.copy_in(fifo_.written(), bytes_of(text));
    fifo_.set_written(fifo_.written() + text.size());
    ASSERT_EQ(view().readable(), fifo_.used());
    const std::uint64_t at = view().consumed();
    std::string got(rng_.below(40'000), '\0');
    got.resize(view().read(std::as_writable_bytes(std::span(got))));
    ASSERT_TRUE(got == pattern(at, got.size())) << "at " << at;
    ASSERT_TRUE(fifo_.refresh_consumed());
  }
  EXPECT_EQ(most_moved_, kLeast << 4);
}

// What a program writes while its FIFO grows beside it stays where it is.
TEST_F(ServedFifoTest, RoomThatWasSeenStaysWhereItIs) {
  const std::string text = pattern(0, kLeast);
  ASSERT_EQ(view().copy_in(0, bytes_of(text)), kLeast);
  ASSERT_TRUE(fifo_.grow(4 * kLeast));
  EXPECT_FALSE(fifo_.grow(8 * kLeast));  // it moves still
  view().set_written(kLeast);
  EXPECT_EQ(view().writable(), 4 * kLeast);
  ASSERT_TRUE(fifo_.refresh_written());
  std::string got(kLeast, '\0');
  fifo_.copy_out(0, std::as_writable_bytes(std::span(got)));
  EXPECT_EQ(got, text);
  const std::size_t before = memory_->fifo_bytes();
  fifo_.set_consumed(kLeast);
  EXPECT_EQ(memory_->fifo_bytes(), before - kLeast);
  EXPECT_FALSE(fifo_.is_moving());
}

// --- Streams.

class QueueFifoTest : public ::testing::Test {
 protected:
  // FIFOs grow as TCP wants it.
  TestEngine engine_{{.admitted = true}, false};
  RawClient left_{engine_};
  RawClient right_{engine_};

  void greet_both() {
    ASSERT_TRUE(left_.greet());
    ASSERT_TRUE(right_.greet());
  }
  std::size_t memory_of(const RawClient& client) {
    std::size_t memory = 0;
    engine_.server().for_each_client([&](const ClientInfo& each) {
      if (each.family == client.welcome.family) memory = each.memory;
    });
    return memory;
  }
  // Until nothing moves any more; the reader reads nothing. How much was taken.
  std::size_t fill(RawClient& client, const RawClient::Socket& socket) {
    const std::uint64_t begin = socket.out().written();
    int still = 0;
    EXPECT_TRUE(engine_.until([&] {
      const std::size_t room = std::min<std::size_t>(socket.out().writable(), 100'000);
      const std::size_t size = client.write(socket, pattern(socket.out().written(), room));
      still = size == 0 ? still + 1 : 0;
      return still == 1000;
    }));
    return static_cast<std::size_t>(socket.out().written() - begin);
  }
  void drain(RawClient& client, const RawClient::Socket& socket, std::uint64_t end) {
    EXPECT_TRUE(engine_.until([&] {
      const std::uint64_t at = socket.in().consumed();
      const std::string text = client.read(socket, 30'000);
      EXPECT_TRUE(text == pattern(at, text.size())) << "at " << at;
      return socket.in().consumed() == end;
    }));
  }
  void drain_all(const std::vector<RawClient::Pair>& all) {
    EXPECT_TRUE(engine_.until([&] {
      engine_.skip(std::chrono::milliseconds(1));
      for (const auto& [listener, near, far] : all) {
        const std::uint64_t at = far.in().consumed();
        const std::string text = right_.read(far);
        EXPECT_TRUE(text == pattern(at, text.size())) << "at " << at;
      }
      return std::ranges::all_of(all, [](const auto& each) {
        return each.far.in().consumed() == each.near.out().written();
      });
    }));
  }
  // So long that those who rest are found, twice.
  void rest() {
    for (int i = 0; i < 3; ++i) {
      engine_.skip(std::chrono::seconds(2));
      engine_.turns(10);
    }
  }
};

TEST_F(QueueFifoTest, AStreamBeginsWithLittleAndGrowsWithNeed) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  EXPECT_EQ(memory_of(left_), 2 * kLeast);
  EXPECT_EQ(memory_of(right_), 2 * kLeast);
  const std::size_t sent = fill(left_, near);
  EXPECT_GE(sent, 320 * kKib);
  EXPECT_EQ(near.out().size(), 256 * kKib);
  EXPECT_EQ(far.in().size(), 64 * kKib);
  EXPECT_EQ(near.in().size(), kLeast);
  drain(right_, far, near.out().written());
  // As fast as it goes, the receiver finds that it could use more.
  ASSERT_TRUE(engine_.until([&] {
    left_.write(near, pattern(near.out().written(), 100'000));
    right_.read(far);
    return near.out().size() > 256 * kKib;
  }));
  EXPECT_LE(near.out().size(), 4096 * kKib);
}

TEST_F(QueueFifoTest, WhoRestsGivesItsMemoryBackAndGrowsAgain) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  for (int i = 0; i < 3; ++i) {
    fill(left_, near);
    rest();
    EXPECT_GT(memory_of(left_), 2 * kLeast);
    EXPECT_GT(memory_of(right_), 2 * kLeast) << "what is unread stays";
    drain(right_, far, near.out().written());
    rest();
    EXPECT_EQ(memory_of(left_), 2 * kLeast);
    EXPECT_EQ(memory_of(right_), 2 * kLeast);
  }
  EXPECT_EQ(engine_.server().sockets().next_rest(), kNever);
}

// While a program is at its FIFO, or has died there, nobody takes it away.
TEST_F(QueueFifoTest, WhoIsAtItsFifoKeepsIt) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  fill(left_, near);
  drain(right_, far, near.out().written());
  near.page->sending = left_.welcome.channel + 1U;
  rest();
  EXPECT_GT(near.out().size(), kLeast);
  EXPECT_EQ(near.page->sending.load(), left_.welcome.channel + 1U);
  EXPECT_EQ(far.in().size(), kLeast);
  near.page->sending = 0;
  rest();
  EXPECT_EQ(near.out().size(), kLeast);
}

TEST_F(QueueFifoTest, TheProgramsSizesBindTheGrowth) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  queue::Request options{.op = Op::kSetOptions, .handle = near.handle};
  options.options = client::to_record(client::Options{.send_buffer = 64 * kKib});
  EXPECT_EQ(left_.failure_of_call(options), Failure::kNone);
  options = {.op = Op::kSetOptions, .handle = far.handle};
  options.options = client::to_record(client::Options{.receive_buffer = 64 * kKib});
  EXPECT_EQ(right_.failure_of_call(options), Failure::kNone);
  const std::size_t sent = fill(left_, near);
  EXPECT_EQ(near.out().size(), 64 * kKib);
  drain(right_, far, sent);
  for (int i = 0; i < 200; ++i) {
    left_.write(near, pattern(near.out().written(), 100'000));
    engine_.turns(1);
    right_.read(far);
  }
  EXPECT_EQ(near.out().size(), 64 * kKib);
  EXPECT_LE(far.in().size(), 256 * kKib);  // what was promised before
}

// The quota is shared: who comes late gets little, and its bytes arrive all the same.
TEST_F(QueueFifoTest, WithoutMemoryStreamsGoOnWithWhatTheyHave) {
  engine_.policy().most_memory = std::size_t{1} << 20;
  greet_both();
  std::vector<RawClient::Pair> all;
  for (std::uint16_t port = 80; port < 92; ++port) all.push_back(left_.join(right_, port));
  for (const auto& pair : all) fill(left_, pair.near);
  EXPECT_LE(memory_of(left_), std::size_t{1} << 20);
  EXPECT_LE(memory_of(right_), std::size_t{1} << 20);
  // What had no room is sent again, when it is time.
  drain_all(all);
}

TEST_F(QueueFifoTest, ThoseWhoShareASocketFollowIt) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  const auto child = left_.fork();
  ASSERT_NE(child, nullptr);
  fill(left_, near);
  drain(right_, far, near.out().written());
  // The child's view is as old as the fork.
  const std::size_t sent = fill(*child, near);
  EXPECT_GE(sent, 256 * kKib);
  drain(right_, far, near.out().written());
  rest();
  EXPECT_EQ(near.out().size(), kLeast);
  EXPECT_EQ(child->write(near, pattern(near.out().written(), 1000)), 1000U);
  drain(right_, far, near.out().written());
}

// Ten thousand would have 320 MiB of their quota of 1 GiB, and in fact only what they have used.
TEST_F(QueueFifoTest, IdleConnectionsCostLittle) {
  constexpr std::size_t kMany = 1000;
  greet_both();
  std::vector<RawClient::Pair> all;
  for (std::uint16_t i = 0; i < kMany; ++i) {
    all.push_back(left_.join(right_, static_cast<std::uint16_t>(1000 + i)));
    left_.write(all.back().near, "a question");
  }
  ASSERT_TRUE(engine_.until([&] {
    return std::ranges::all_of(all, [](const auto& each) { return each.far.in().readable() > 0; });
  }));
  EXPECT_EQ(memory_of(left_), kMany * 2 * kLeast);
  EXPECT_EQ(memory_of(right_), kMany * 2 * kLeast);
}

// What the engine tells is not read back: places that a program overwrites mislead itself alone.
TEST_F(QueueFifoTest, PlacesThatAProgramOverwritesAreItsOwnLoss) {
  greet_both();
  const auto [listener, near, far] = left_.join(right_, 80);
  fill(left_, near);
  for (auto* places : {&near.page->outgoing_places, &near.page->incoming_places}) {
    for (auto& ring : places->rings) {
      ring.from = 12345;
      ring.place = UINT64_MAX;
    }
  }
  drain(right_, far, near.out().written());
  rest();
  EXPECT_EQ(memory_of(left_), 2 * kLeast);
  EXPECT_FALSE(left_.is_ended());
}

}  // namespace
}  // namespace tideline::engine
