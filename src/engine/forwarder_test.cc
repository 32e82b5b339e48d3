// SPDX-License-Identifier: Apache-2.0
// Two hosts that reach each other through a forwarder, each on its own thread and wire.
#include "engine/forwarder.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/clock.h"
#include "port/memory.h"
#include "wire/checksum.h"

namespace tideline::engine {
namespace {

constexpr std::size_t kStart = 34;

std::unique_ptr<packet::Pool> make_pool() {
  auto pool = packet::Pool::create({.segments = 256, .loans = 64, .huge_pages = false});
  EXPECT_TRUE(pool.has_value());
  return std::move(*pool);
}

port::MemoryPort::Pair make_wire(const port::Capabilities& capabilities, std::size_t mtu = 1500) {
  auto pair = port::MemoryPort::create_pair({.mtu = mtu, .capabilities = capabilities});
  EXPECT_TRUE(pair.has_value());
  return std::move(*pair);
}

packet::PacketPtr open_frame(packet::Pool& pool, std::uint8_t number) {
  packet::PacketPtr frame = pool.get();
  std::memset(frame->append(200), number, 200);  // to some other station
  frame->meta().offload = {
      .checksum = packet::Checksum::kNeeded, .checksum_start = kStart, .checksum_offset = 6};
  return frame;
}

TEST(Forwarder, CarriesFramesForAnyoneBothWaysAndFillsChecksums) {
  auto outer_pool = make_pool();
  auto left = make_wire({.tx_checksum = true, .scatter_gather = true});
  auto right = make_wire({});
  constexpr std::size_t kFrames = 500;
  std::atomic<Forwarder*> started{nullptr};
  std::atomic<bool> stop_returned{false};
  std::jthread loop([&] {
    auto forwarder = Forwarder::create(make_pool(), {std::move(left.right), std::move(right.left)});
    ASSERT_TRUE(forwarder.has_value());
    started = forwarder->get();
    started.notify_one();
    (*forwarder)->run(kNever);
    EXPECT_EQ((*forwarder)->function(1).stats().tx_frames, kFrames);
    stop_returned.wait(false);  // the forwarder outlives the call that stops it
  });
  started.wait(nullptr);
  std::size_t arrived = 0;
  std::size_t sent = 0;
  packet::Burst burst;
  const Instant give_up = monotonic_now() + std::chrono::seconds(20);
  while (arrived < kFrames && monotonic_now() < give_up) {
    if (sent < kFrames && sent < arrived + 100) {
      burst.push(open_frame(*outer_pool, static_cast<std::uint8_t>(sent++)));
      left.left->tx_burst(0, burst, {});
    }
    right.right->rx_burst(0, burst, {});
    for (const packet::PacketPtr& frame : burst) {
      const wire::Bytes bytes = frame->first().bytes();
      ASSERT_EQ(bytes[0], static_cast<std::byte>(arrived++));
      ASSERT_EQ(frame->meta().offload.checksum, packet::Checksum::kInPacket);
      // The field held the first word of the sum.
      const wire::PartialChecksum rest = [&] {
        wire::PartialChecksum sum;
        sum.add(bytes.first(2));
        sum.add(bytes.subspan(kStart));
        return sum;
      }();
      ASSERT_TRUE(rest.valid());
    }
    burst.clear();
    outer_pool->reclaim();
  }
  EXPECT_EQ(arrived, kFrames);
  // And back.
  packet::PacketPtr plain = open_frame(*outer_pool, 9);
  plain->meta().offload = {};
  burst.push(std::move(plain));
  right.right->tx_burst(0, burst, {});
  while (left.left->rx_burst(0, burst, {}) == 0 && monotonic_now() < give_up) {
  }
  EXPECT_EQ(burst.size(), 1U);
  burst.clear();
  started.load()->stop();
  stop_returned = true;
  stop_returned.notify_one();
  loop.join();
  left.left.reset();
  right.right.reset();
}

TEST(Forwarder, EndsInTimeAndRefusesWiresOfDifferentMtu) {
  auto left = make_wire({});
  auto right = make_wire({});
  auto forwarder = Forwarder::create(make_pool(), {std::move(left.right), std::move(right.left)});
  ASSERT_TRUE(forwarder.has_value());
  (*forwarder)->run(monotonic_now() + std::chrono::milliseconds(3));
  auto narrow = make_wire({}, 1280);
  auto wide = make_wire({});
  const auto refused =
      Forwarder::create(make_pool(), {std::move(narrow.right), std::move(wide.left)});
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().what.find("1280"), std::string::npos);
}

}  // namespace
}  // namespace tideline::engine
