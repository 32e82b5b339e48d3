// SPDX-License-Identifier: Apache-2.0
#include "api/receive_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/random.h"
#include "packet/copy.h"
#include "packet/pool.h"

namespace tideline::api {
namespace {

constexpr std::size_t kSize = 65536;

std::byte byte_at(std::uint64_t offset) {
  return static_cast<std::byte>(offset * 131 + offset / 251);
}

class ReceiveQueueTest : public ::testing::Test {
 protected:
  // A piece of the stream in memory of a peer, which may take it back.
  struct Foreign {
    std::vector<std::byte> bytes;
    bool stands = true;
    bool is_out = true;
  };

  packet::PacketPtr borrowed(std::uint64_t offset, std::size_t size) {
    Foreign& foreign = *foreigns_.emplace_back(std::make_unique<Foreign>());
    foreign.bytes = stream(offset, size);
    return pool_->lend(
        {.memory = foreign.bytes,
         .release =
             [](void* context, std::span<const std::byte>) {
               static_cast<Foreign*>(context)->is_out = false;
             },
         .context = &foreign,
         .stands =
             [](const void* context) { return static_cast<const Foreign*>(context)->stands; }});
  }
  packet::PacketPtr owned(std::uint64_t offset, std::size_t size) {
    packet::PassCounter uncounted;
    return packet::copy_of(stream(offset, size), *pool_, uncounted);
  }
  static std::vector<std::byte> stream(std::uint64_t offset, std::size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = byte_at(offset + i);
    return bytes;
  }
  // As TCP does with what comes in order.
  void receive(packet::PacketPtr payload) {
    const std::size_t size = payload->size();
    queue_.put(end_, std::move(payload), tcp_passes_);
    end_ += size;
    queue_.publish(end_);
  }
  std::size_t foreign_out() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(foreigns_, [](const auto& each) { return each->is_out; }));
  }
  std::vector<std::byte> read(std::size_t most) {
    std::vector<std::byte> out(most);
    out.resize(queue_.read(out));
    return out;
  }

  std::vector<std::unique_ptr<Foreign>> foreigns_;
  std::unique_ptr<packet::Pool> pool_ =
      *packet::Pool::create({.segments = 256, .loans = 64, .huge_pages = false});
  packet::PassCounter tcp_passes_;
  packet::PassCounter passes_;
  std::vector<std::byte> memory_ = std::vector<std::byte>(kSize);
  ReceiveQueue queue_{memory_, passes_};
  std::uint64_t end_ = 0;
};

TEST_F(ReceiveQueueTest, WhatIsReadSoonIsCopiedOnce) {
  receive(borrowed(0, 10'000));
  receive(borrowed(10'000, 5'000));
  EXPECT_TRUE(queue_.is_holding());
  EXPECT_EQ(read(12'000), stream(0, 12'000));
  EXPECT_EQ(foreign_out(), 1U);
  EXPECT_EQ(read(12'000), stream(12'000, 3'000));
  EXPECT_EQ(foreign_out(), 0U);
  EXPECT_EQ(tcp_passes_.total() + passes_.total(), 15'000U);
}

TEST_F(ReceiveQueueTest, WhatIsSeenInPlaceIsCopiedBefore) {
  receive(borrowed(0, 10'000));
  receive(owned(10'000, 3'000));
  const auto front = queue_.front();
  foreigns_[0]->bytes.assign(10'000, std::byte{0xee});  // the peer writes to it
  EXPECT_TRUE(std::ranges::equal(front, stream(0, 13'000)));
  EXPECT_EQ(foreign_out(), 0U);
  EXPECT_EQ(tcp_passes_.total() + passes_.total(), 13'000U);
  queue_.consume(13'000);
  EXPECT_EQ(queue_.readable(), 0U);
}

TEST_F(ReceiveQueueTest, WhatFillsAHoleMeetsWhatCameBefore) {
  queue_.put(4'000, borrowed(4'000, 4'000), tcp_passes_);  // out of order: copied
  EXPECT_FALSE(queue_.is_holding());
  queue_.put(0, borrowed(0, 5'000), tcp_passes_);  // overlaps it
  queue_.publish(8'000);
  EXPECT_TRUE(queue_.is_holding());
  EXPECT_EQ(read(8'000), stream(0, 8'000));
}

TEST_F(ReceiveQueueTest, NoMoreIsHeldThanTheBound) {
  for (std::size_t i = 0; i <= ReceiveQueue::kMostHeld; ++i) receive(borrowed(end_, 2'048));
  EXPECT_EQ(foreign_out(), ReceiveQueue::kMostHeld);
  receive(borrowed(end_, 100));  // short
  EXPECT_EQ(foreign_out(), ReceiveQueue::kMostHeld);
  queue_.settle();
  EXPECT_EQ(foreign_out(), 0U);
  EXPECT_EQ(read(kSize), stream(0, end_));
}

TEST_F(ReceiveQueueTest, WhatWasTakenBackEndsTheStreamBefore) {
  receive(borrowed(0, 4'000));
  receive(borrowed(4'000, 4'000));
  receive(owned(8'000, 100));
  foreigns_[1]->stands = false;
  EXPECT_EQ(read(kSize), stream(0, 4'000));
  EXPECT_TRUE(queue_.is_spoilt());
  EXPECT_EQ(queue_.readable(), 0U);
  receive(owned(end_, 100));
  EXPECT_EQ(queue_.readable(), 0U);
  queue_.drop_held();
  EXPECT_EQ(foreign_out(), 0U);
}

TEST_F(ReceiveQueueTest, WhatIsTakenBackWhileItIsCopiedToItsPlaceIsNotSeen) {
  receive(owned(0, 100));
  receive(borrowed(100, 4'000));
  foreigns_[0]->stands = false;
  EXPECT_TRUE(std::ranges::equal(queue_.front(), stream(0, 100)));
  EXPECT_TRUE(queue_.is_spoilt());
  // Nor what is short, and was copied when it came.
  ReceiveQueue other(memory_, passes_);
  auto late = borrowed(0, 1'000);
  foreigns_.back()->stands = false;
  other.put(0, std::move(late), tcp_passes_);
  other.publish(1'000);
  EXPECT_TRUE(other.is_spoilt());
  EXPECT_EQ(other.readable(), 0U);
}

// Payloads of all kinds and sizes, in and out of order, read in all ways: the bytes are the
// stream's.
TEST_F(ReceiveQueueTest, AnyMixtureIsTheStream) {
  Rng rng(20);
  std::uint64_t read_to = 0;
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t room = static_cast<std::size_t>(queue_.limit() - end_);
    const std::size_t size = std::min<std::size_t>(room, rng.below(9'000));
    const auto kind = rng.below(6);
    if (kind < 2 && size > 0) {
      receive(kind == 0 ? borrowed(end_, size) : owned(end_, size));
    } else if (kind == 2 && size > 10) {
      // The second half first.
      const std::size_t half = size / 2;
      queue_.put(end_ + half, borrowed(end_ + half, size - half), tcp_passes_);
      queue_.put(end_, borrowed(end_, half + rng.below(size - half)), tcp_passes_);
      end_ += size;
      queue_.publish(end_);
    } else if (kind == 3) {
      const auto out = read(rng.below(20'000));
      ASSERT_EQ(out, stream(read_to, out.size()));
      read_to += out.size();
    } else if (kind == 4) {
      const auto front = queue_.front();
      ASSERT_TRUE(std::ranges::equal(front, stream(read_to, front.size())));
      const std::size_t part = rng.below(front.size() + 1);
      queue_.consume(part);
      read_to += part;
    } else {
      queue_.settle();
    }
    if (foreigns_.size() > 100 && foreign_out() == 0) foreigns_.clear();
  }
  EXPECT_GT(read_to, 10U * kSize);
}

}  // namespace
}  // namespace tideline::api
