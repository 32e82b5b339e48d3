// SPDX-License-Identifier: Apache-2.0
// What strangers try in numbers: SYNs without end, and guesses of the numbers that we choose.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

#include "tcp/script_world.h"

namespace tideline::tcp::test {
namespace {

TEST(Flood, SynsAreBoundedAndDisturbNobody) {
  World world;
  world.listening.backlog = 64;
  world.listen();
  const auto syn = [&](std::uint32_t seq, std::uint16_t port) {
    wire::Tcp header{
        .sequence_number = seq, .flags = wire::kTcpSyn, .window = 1000, .options = {.mss = 1460}};
    world.receive(header, 0, {.port = port});
  };
  // A connection from before.
  syn(world.their_iss.value(), kPeerPort);
  ASSERT_EQ(world.sent.size(), 1U);
  world.learn(world.sent.front().header);
  wire::Tcp ack{.sequence_number = (world.their_iss + 1).value(),
                .acknowledgment_number = (world.our_iss + 1).value(),
                .flags = wire::kTcpAck,
                .window = 1000};
  world.receive(ack, 0, {.port = kPeerPort});
  ASSERT_EQ(world.state(), "ESTABLISHED");

  Rng rng(1);
  for (int i = 0; i < 100'000; ++i) {
    syn(static_cast<std::uint32_t>(rng()), static_cast<std::uint16_t>(1 + rng.below(49'000)));
    world.sent.clear();
  }
  EXPECT_LE(world.counter("connections"), 65U);
  EXPECT_GT(world.counter("cookies_out"), 90'000U);
  world.receive(ack, 100, {.port = kPeerPort});
  ASSERT_FALSE(world.sent.empty());
  EXPECT_EQ(Seq(world.sent.back().header.acknowledgment_number) - world.their_iss, 101U);
  // The half-open ones give up.
  world.advance(std::chrono::minutes(5));
  EXPECT_EQ(world.counter("connections"), 1U);
  world.sent.clear();
}

// RFC 6528, RFC 6056: connections to many ports, and to one again and again.
TEST(Flood, NumbersOfOursAreNotGuessed) {
  World world;
  std::vector<std::uint32_t> numbers;
  std::set<std::uint16_t> ports;
  std::uint16_t previous = 0;
  int neighbours = 0;
  for (std::uint16_t i = 0; i < 100; ++i) {
    world.connect_to(static_cast<std::uint16_t>(1000 + i));
    ASSERT_EQ(world.sent.size(), 1U);
    const wire::Tcp& header = world.sent.front().header;
    numbers.push_back(header.sequence_number);
    ports.insert(header.source_port);
    neighbours += std::abs(header.source_port - previous) <= 2 ? 1 : 0;
    previous = header.source_port;
    world.sent.clear();
  }
  EXPECT_GT(ports.size(), 90U);
  EXPECT_LT(neighbours, 5);
  std::ranges::sort(numbers);
  std::uint32_t widest = 0;
  for (std::size_t i = 1; i < numbers.size(); ++i) {
    widest = std::max(widest, numbers[i] - numbers[i - 1]);
    EXPECT_NE(numbers[i], numbers[i - 1]);
  }
  EXPECT_LT(widest, UINT32_MAX / 8) << "they do not spread";
}

// RFC 7323 §5.4: a clock begins anywhere, so that nobody reads from it how long we are up. It is
// the same for all ports, for a later connection must have a later time (RFC 6191).
TEST(Flood, ClocksOfOursAreNotGuessed) {
  std::vector<std::uint32_t> clocks;
  Rng rng(6);
  for (int i = 0; i < 100; ++i) {
    World world;
    for (HashKey& key : world.config.secrets) key = HashKey::random(rng);
    std::set<std::uint32_t> of_host;
    for (const std::uint16_t port : {kPort, kPeerPort}) {
      world.connect_to(port);
      ASSERT_EQ(world.sent.size(), 1U);
      ASSERT_TRUE(world.sent.front().header.options.timestamps.has_value());
      of_host.insert(world.sent.front().header.options.timestamps->value);
      world.sent.clear();
    }
    EXPECT_EQ(of_host.size(), 1U);
    clocks.push_back(*of_host.begin());
  }
  std::ranges::sort(clocks);
  std::uint32_t widest = 0;
  for (std::size_t i = 1; i < clocks.size(); ++i) {
    widest = std::max(widest, clocks[i] - clocks[i - 1]);
    EXPECT_NE(clocks[i], clocks[i - 1]);
  }
  EXPECT_LT(widest, UINT32_MAX / 8) << "they do not spread";
}

}  // namespace
}  // namespace tideline::tcp::test
