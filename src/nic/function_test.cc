// SPDX-License-Identifier: Apache-2.0
// A function between a test and a memory wire, with ports that can much and little.
#include "nic/function.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "packet/copy.h"
#include "port/memory.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/ipv4.h"
#include "wire/packet_layout.h"
#include "wire/protocol.h"
#include "wire/roce.h"
#include "wire/udp.h"

namespace tideline::nic {
namespace {

using packet::Burst;
using packet::PacketPtr;
using packet::Pool;
using port::Capabilities;

constexpr wire::MacAddress kOurs({2, 0, 0, 0, 0, 1});
constexpr Instant kNow{std::chrono::hours(1)};
constexpr std::size_t kHeader = 14;

std::unique_ptr<Pool> make_pool(std::size_t segments = 64) {
  auto pool = Pool::create({.segments = segments, .huge_pages = false});
  EXPECT_TRUE(pool.has_value());
  return std::move(*pool);
}

struct Wired {
  explicit Wired(const Capabilities& capabilities, std::size_t segments = 64)
      : pool(make_pool(segments)) {
    auto ends = port::MemoryPort::create_pair({.capabilities = capabilities});
    EXPECT_TRUE(ends.has_value());
    near = std::move(ends->left);
    far = std::move(ends->right);
    function.emplace(*near, 0, *pool, kOurs);
  }

  // A frame to `to` of two segments, whose checksum over the second and some of the first is open.
  PacketPtr open_frame(std::size_t size, const wire::MacAddress& to = kOurs) {
    PacketPtr frame = pool->get();
    std::byte* head = frame->append(kHeader + 2);
    std::memset(head, 0, kHeader + 2);
    std::memcpy(head, to.bytes().data(), 6);
    PacketPtr tail = pool->get();
    std::byte* data = tail->append(size);
    for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<std::byte>(i * 7 + 1);
    frame->append(std::move(tail));
    frame->meta().offload = {.checksum = packet::Checksum::kNeeded, .checksum_start = kHeader};
    return frame;
  }

  PacketPtr sent() {
    function->flush(kNow);
    Burst burst;
    return far->rx_burst(0, burst, kNow) == 1 ? std::move(burst[0]) : nullptr;
  }

  std::unique_ptr<Pool> pool;
  std::unique_ptr<port::Port> near;
  std::unique_ptr<port::Port> far;
  std::optional<Function> function;
};

bool intact(const packet::Packet& frame) {
  packet::PassCounter passes;
  std::vector<std::byte> bytes(frame.size());
  packet::copy_out(frame, 0, bytes, passes);
  return wire::checksum(wire::Bytes(bytes).subspan(kHeader)) == 0;
}

TEST(Function, OffersWhatItDoesInSoftware) {
  const Wired poor({});
  const Capabilities& upward = poor.function->capabilities();
  EXPECT_TRUE(upward.tx_checksum && upward.scatter_gather);
  EXPECT_TRUE(upward.tso4 && upward.tso6 && upward.uso);
  EXPECT_TRUE(upward.roce_gso);
}

TEST(Function, LeavesToThePortWhatItCan) {
  Wired setup({.tx_checksum = true, .scatter_gather = true});
  setup.function->transmit(setup.open_frame(101), kNow);
  const PacketPtr frame = setup.sent();
  ASSERT_NE(frame, nullptr);
  EXPECT_EQ(frame->meta().offload.checksum, packet::Checksum::kNeeded);
  EXPECT_EQ(frame->segment_count(), 2U);
  EXPECT_EQ(setup.function->stats().passes.total(), 0U);
}

TEST(Function, FillsTheChecksumOverScatteredFrames) {
  Wired poor({});
  for (const std::size_t size : {1U, 2U, 101U, 1400U}) {
    poor.function->transmit(poor.open_frame(size), kNow);
    const PacketPtr frame = poor.sent();
    ASSERT_NE(frame, nullptr) << size;
    EXPECT_EQ(frame->segment_count(), 1U);
    EXPECT_EQ(frame->meta().offload.checksum, packet::Checksum::kInPacket);
    EXPECT_TRUE(intact(*frame)) << size;
  }
  EXPECT_GT(poor.function->stats().passes.bytes(packet::Pass::kCopyChecksum), 1504U);
}

TEST(Function, RefusesWhatItCannotComplete) {
  Wired setup({});
  PacketPtr gso = setup.open_frame(100);
  gso->meta().offload.gso = packet::Gso::kUdp;
  setup.function->transmit(std::move(gso), kNow);
  EXPECT_EQ(setup.function->stats().dropped(Drop::kTxGso), 1U);
  PacketPtr beyond = setup.open_frame(100);
  beyond->meta().offload.checksum_offset = 101;
  setup.function->transmit(std::move(beyond), kNow);
  EXPECT_EQ(setup.function->stats().dropped(Drop::kTxOffload), 1U);
  EXPECT_EQ(setup.sent(), nullptr);
  EXPECT_EQ(setup.pool->in_use(), 0U);
}

TEST(Function, CountsAnExhaustedPool) {
  Wired setup({}, 2);
  setup.function->transmit(setup.open_frame(100), kNow);
  EXPECT_EQ(setup.function->stats().dropped(Drop::kTxPool), 1U);
}

TEST(Function, HandsUpOnlyFramesForThisStation) {
  Wired setup({.tx_checksum = true, .scatter_gather = true});
  Burst burst;
  burst.push(setup.open_frame(60));
  burst.push(setup.open_frame(61, wire::MacAddress({2, 0, 0, 0, 0, 9})));
  burst.push(setup.open_frame(62, wire::kMacBroadcast));
  burst.push(setup.open_frame(63, wire::MacAddress({0x33, 0x33, 0, 0, 0, 1})));
  ASSERT_EQ(setup.far->tx_burst(0, burst, kNow), 4U);
  EXPECT_EQ(setup.function->rx_burst(burst, kNow), 3U);
  EXPECT_EQ(burst[1]->size(), 62 + kHeader + 2);
  EXPECT_EQ(setup.function->stats().dropped(Drop::kRxOtherStation), 1U);
  burst.clear();
}

TEST(Function, ChecksThatFramesFitIntoOneSegment) {
  port::PortInfo info{.name = "dgram:a,b", .mtu = 9000, .capabilities = {.max_frame = 9018}};
  const Status refused = Function::check(info);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().remedy.find("1838"), std::string::npos) << refused.error().remedy;
  info.capabilities = {.tx_checksum = true, .scatter_gather = true, .max_frame = 9018};
  EXPECT_TRUE(Function::check(info).has_value());
  info.capabilities = {.max_frame = 1518};
  EXPECT_TRUE(Function::check(info).has_value());
}

// A WRITE of 600 bytes over IPv4: leaves whole where the port takes it, else in packets.
PacketPtr roce_frame(Pool& pool) {
  constexpr std::size_t kPayload = 600;
  std::vector<std::byte> bytes(kHeader + 20 + 8 + 28 + kPayload + 4);
  const wire::MutableBytes frame(bytes);
  wire::emit(wire::Ethernet{.ether_type = wire::kEtherTypeIpv4}, frame);
  wire::emit(wire::Ipv4{.total_length = static_cast<std::uint16_t>(bytes.size() - kHeader),
                        .protocol = wire::kProtocolUdp,
                        .source = wire::Ipv4Address(192, 0, 2, 1),
                        .destination = wire::Ipv4Address(192, 0, 2, 2)},
             frame.subspan(kHeader));
  wire::emit(wire::Udp{.source_port = 50000,
                       .destination_port = wire::kRocePort,
                       .length = static_cast<std::uint16_t>(bytes.size() - kHeader - 20)},
             frame.subspan(kHeader + 20));
  wire::emit(wire::Roce{.opcode = 0x0a, .psn = 7, .length = kPayload}, frame.subspan(kHeader + 28));
  packet::PassCounter passes;
  PacketPtr packet = packet::copy_of(bytes, pool, passes);
  packet->meta().offload = {
      .checksum = packet::Checksum::kNeeded, .gso = packet::Gso::kRoce, .gso_size = 256};
  return packet;
}

TEST(Function, CutsRdmaMessagesForPortsThatDoNot) {
  Wired wired({.tx_checksum = true});
  wired.function->transmit(roce_frame(*wired.pool), kNow);
  wired.function->flush(kNow);
  Burst burst;
  ASSERT_EQ(wired.far->rx_burst(0, burst, kNow), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto layout = wire::parse_layout(burst[i]->first().bytes());
    ASSERT_TRUE(layout.has_value());
    const auto roce = wire::parse_roce(layout->payload_bytes(burst[i]->first().bytes()));
    EXPECT_EQ(roce->psn, 7 + i);
    EXPECT_EQ(burst[i]->meta().offload.gso, packet::Gso::kNone);
  }
  EXPECT_EQ(wired.function->stats().tx_cut, 1U);

  Wired whole({.tx_checksum = true, .scatter_gather = true, .roce_gso = true});
  whole.function->transmit(roce_frame(*whole.pool), kNow);
  const PacketPtr sent = whole.sent();
  ASSERT_NE(sent, nullptr);
  EXPECT_EQ(sent->meta().offload.gso, packet::Gso::kRoce);
}

// A frame with a number in it.
PacketPtr numbered(Pool& pool, std::uint32_t number) {
  PacketPtr frame = pool.get();
  std::byte* bytes = frame->append(64);
  std::memset(bytes, 0, 64);
  std::memcpy(bytes, kOurs.bytes().data(), 6);
  std::memcpy(bytes + kHeader, &number, sizeof(number));
  return frame;
}

std::uint32_t number_in(const packet::Packet& frame) {
  std::uint32_t number = 0;
  std::memcpy(&number, frame.first().bytes().data() + kHeader, sizeof(number));
  return number;
}

// A wire that holds four frames.
struct Narrow {
  Narrow() {
    auto ends = port::MemoryPort::create_pair({.capacity = 4});
    EXPECT_TRUE(ends.has_value());
    near = std::move(ends->left);
    far = std::move(ends->right);
    function.emplace(*near, 0, *pool, kOurs);
  }
  void send(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) function->transmit(numbered(*pool, next++), now);
    function->flush(now);
  }
  // The numbers that have come.
  std::vector<std::uint32_t> received() {
    Burst burst;
    far->rx_burst(0, burst, now);
    std::vector<std::uint32_t> numbers;
    for (const PacketPtr& frame : burst) numbers.push_back(number_in(*frame));
    return numbers;
  }

  std::unique_ptr<Pool> pool = make_pool(2048);
  std::unique_ptr<port::Port> near;
  std::unique_ptr<port::Port> far;
  std::optional<Function> function;
  Instant now = kNow;
  std::uint32_t next = 0;
};

TEST(Function, WhatAFullWireDoesNotTakeWaitsInOrder) {
  Narrow wire;
  wire.send(100);
  EXPECT_EQ(wire.function->tx_room(), 0U);
  std::uint32_t expected = 0;
  while (expected < 101) {
    EXPECT_EQ(wire.function->next_deadline() == kNever, expected > 96);
    const auto numbers = wire.received();
    ASSERT_FALSE(numbers.empty());
    for (const std::uint32_t number : numbers) EXPECT_EQ(number, expected++);
    wire.now += std::chrono::milliseconds(1);
    wire.send(wire.next == 100 ? 1 : 0);  // one more, behind those that wait
  }
  EXPECT_EQ(wire.function->stats().dropped(Drop::kTxQueue), 0U);
  EXPECT_EQ(wire.near->stats(0).dropped(), 0U);
}

TEST(Function, WhatWaitsIsBounded) {
  Narrow wire;
  wire.send(4 + Function::kMostWaiting + 7);
  EXPECT_EQ(wire.function->stats().dropped(Drop::kTxQueue), 7U);
  wire.function->clear();
  EXPECT_EQ(wire.pool->in_use(), 4U);
}

TEST(Function, WhoDoesNotReceiveHoldsUpNobodyForLong) {
  Narrow wire;
  wire.send(10);
  wire.now += Function::kPatience - std::chrono::microseconds(1);
  wire.send(0);
  EXPECT_EQ(wire.near->stats(0).dropped(), 0U);
  wire.now += std::chrono::microseconds(1);
  wire.send(0);
  EXPECT_EQ(wire.near->stats(0).dropped(), 6U);
  wire.send(1);  // nor again
  EXPECT_EQ(wire.near->stats(0).dropped(), 7U);
  EXPECT_EQ(wire.received(), (std::vector<std::uint32_t>{0, 1, 2, 3}));
  wire.send(1);
  EXPECT_EQ(wire.received(), std::vector<std::uint32_t>{11});
}

}  // namespace
}  // namespace tideline::nic
