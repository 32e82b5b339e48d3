// SPDX-License-Identifier: Apache-2.0
#include "port/shm/ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/random.h"

namespace tideline::port::shm {
namespace {

constexpr std::uint32_t kSlots = 16;

struct Ring {
  explicit Ring(std::uint32_t lag = 4)
      : memory(std::make_unique<std::array<Slot, kSlots>>()),
        producer(*memory),
        consumer(*memory, &index.consumed, lag) {
    producer.use_index(&index.consumed);
  }

  std::unique_ptr<std::array<Slot, kSlots>> memory;
  IndexLine index{};
  RingProducer producer;
  RingConsumer consumer;
};

std::vector<std::byte> frame_of(std::uint64_t value, std::size_t length) {
  std::vector<std::byte> frame(length, static_cast<std::byte>(value));
  if (length >= sizeof(value)) std::memcpy(frame.data(), &value, sizeof(value));
  return frame;
}

void push_inline(RingProducer& producer, const std::vector<std::byte>& frame) {
  std::ranges::copy(frame, producer.body().begin());
  producer.publish_inline(static_cast<std::uint32_t>(frame.size()), {});
}

// Pushes and pops in random order against a queue that is obviously right.
TEST(Ring, BehavesLikeABoundedQueue) {
  Ring ring;
  Rng rng(7);
  std::deque<std::pair<std::uint64_t, std::uint32_t>> model;
  std::uint64_t pushed = 0;
  for (int step = 0; step < 200'000; ++step) {
    if (rng.below(2) == 0) {
      if (!ring.producer.has_room()) {
        ASSERT_TRUE(ring.producer.refresh());
        // The index may lag, so the ring may look fuller than it is, never emptier.
        if (!ring.producer.has_room()) {
          ASSERT_GT(model.size() + 4, kSlots);
          continue;
        }
      }
      ASSERT_LT(model.size(), kSlots);
      if (rng.below(2) == 0) {
        const auto length = static_cast<std::uint32_t>(rng.below(kInlineBytes - 7) + 8);
        push_inline(ring.producer, frame_of(pushed, length));
        model.emplace_back(pushed, length);
      } else {
        const auto length = static_cast<std::uint32_t>(kInlineBytes + 1 + rng.below(1000));
        ring.producer.publish_reference(pushed, length, {});
        model.emplace_back(pushed, length);
      }
      ++pushed;
    } else {
      const auto frame = ring.consumer.front();
      ASSERT_EQ(frame.has_value(), !model.empty());
      if (!frame) {
        ring.consumer.tell();
        continue;
      }
      const auto [value, length] = model.front();
      model.pop_front();
      ASSERT_EQ(frame->length, length);
      ASSERT_EQ(frame->is_inline(), length <= kInlineBytes);
      std::uint64_t seen = frame->offset;
      if (frame->is_inline()) std::memcpy(&seen, frame->inline_frame, sizeof(seen));
      ASSERT_EQ(seen, value);
      ring.consumer.pop();
    }
  }
  EXPECT_GT(pushed, 10'000U);
}

TEST(Ring, OneRingFullMayBeSentBeforeTheDestinationAnswers) {
  std::array<Slot, kSlots> memory{};
  RingProducer producer(memory);
  while (producer.has_room()) push_inline(producer, frame_of(1, 64));
  EXPECT_EQ(producer.tail(), kSlots);
  EXPECT_TRUE(producer.refresh());
  EXPECT_FALSE(producer.has_room());
}

TEST(Ring, OffloadWordsCross) {
  Ring ring;
  const OffloadWords words{.flags = 0x3f, .fields = 0x123456789abcdef0};
  ring.producer.publish_inline(64, words);
  ring.producer.publish_reference(4096, 1400, words);
  ring.producer.publish_inline(64, {});
  for (const std::uint32_t length : {64U, 1400U}) {
    const auto frame = ring.consumer.front();
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->length, length);
    EXPECT_EQ(frame->offload.flags, words.flags);
    EXPECT_EQ(frame->offload.fields, words.fields);
    ring.consumer.pop();
  }
  EXPECT_EQ(ring.consumer.front()->offload.flags, 0U);
}

TEST(Ring, AFalseIndexIsRefused) {
  Ring ring;
  for (int i = 0; i < 8; ++i) push_inline(ring.producer, frame_of(1, 64));
  ring.index.consumed = 8;
  EXPECT_TRUE(ring.producer.refresh());
  ring.index.consumed = 7;  // back
  EXPECT_FALSE(ring.producer.refresh());
  ring.index.consumed = 8;  // once false, refused for good
  EXPECT_FALSE(ring.producer.refresh());
  Ring other;
  push_inline(other.producer, frame_of(1, 64));
  other.index.consumed = 2;  // more than was sent
  EXPECT_FALSE(other.producer.refresh());
  EXPECT_TRUE(other.producer.is_refused());
}

TEST(Ring, TheIndexIsToldByWeightAndOnRequest) {
  Ring ring(4);
  for (int i = 0; i < 8; ++i) push_inline(ring.producer, frame_of(1, 64));
  for (int i = 0; i < 3; ++i) ring.consumer.pop();
  EXPECT_EQ(ring.index.consumed, 0U);
  ring.consumer.pop();
  EXPECT_EQ(ring.index.consumed, 4U);
  ring.consumer.pop(4);
  EXPECT_EQ(ring.index.consumed, 5U);
  ring.consumer.pop();
  ring.consumer.tell();
  EXPECT_EQ(ring.index.consumed, 6U);
}

TEST(Ring, WrongSequencesAreNoFrames) {
  Ring ring;
  Rng rng(3);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t head = rng();
    (*ring.memory)[0].head = head;
    EXPECT_EQ(ring.consumer.front().has_value(), static_cast<std::uint32_t>(head) == 1);
  }
}

// Two threads; the arena is an array of words that the consumer checks. For ThreadSanitizer, too.
TEST(Ring, TwoThreadsSeeEveryFrameWholeAndInOrder) {
  constexpr std::uint64_t kFrames = 200'000;
  constexpr std::size_t kWords = 32;
  Ring ring;
  std::vector<std::array<std::uint64_t, kWords>> arena(kSlots);
  std::jthread producer([&] {
    for (std::uint64_t i = 0; i < kFrames; ++i) {
      while (!ring.producer.has_room()) {
        ASSERT_TRUE(ring.producer.refresh());
        std::this_thread::yield();
      }
      if (i % 3 == 0) {
        push_inline(ring.producer, frame_of(i, 64));
      } else {
        arena[i % kSlots].fill(i);
        ring.producer.publish_reference(i % kSlots, kWords * sizeof(std::uint64_t), {});
      }
    }
  });
  for (std::uint64_t i = 0; i < kFrames;) {
    const auto frame = ring.consumer.front();
    if (!frame) {
      ring.consumer.tell();
      std::this_thread::yield();
      continue;
    }
    if (frame->is_inline()) {
      std::uint64_t seen = 0;
      std::memcpy(&seen, frame->inline_frame, sizeof(seen));
      ASSERT_EQ(seen, i);
    } else {
      for (const std::uint64_t word : arena.at(frame->offset)) ASSERT_EQ(word, i);
    }
    ring.consumer.pop();
    ++i;
  }
}

}  // namespace
}  // namespace tideline::port::shm
