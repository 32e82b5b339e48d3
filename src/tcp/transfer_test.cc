// SPDX-License-Identifier: Apache-2.0
// Two hosts, a link, and bytes both ways: what was sent is what is received, whatever the link
// does.
#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "tcp/test_net.h"

namespace tideline::tcp::test {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kBulk = 8'000'000;

// A connection from left to right.
struct Pair {
  Pair(SimNet& network, bool ipv4, std::uint64_t seed, std::uint64_t forth, std::uint64_t back,
       const StreamOptions& options = {})
      : net(network),
        client(net.left(), net, seed, forth, back),
        server(net.right(), net, seed ^ 1, back, forth),
        listener(net.right(), net, [this] { return &server; }) {
    auto listening = net.right().tcp.listen({{}, kPort}, {.stream = options}, listener);
    EXPECT_TRUE(listening.has_value());
    auto id = net.left().tcp.connect({net.right().address(ipv4), kPort}, {}, options,
                                     client.attachment(), net.now);
    EXPECT_TRUE(id.has_value()) << id.error().message();
    client.id = *id;
  }
  // The server's application: accepts, and begins to send.
  void step() {
    if (listener.accepted.empty() || std::exchange(started, true)) return;
    net.right().tcp.accepted(server.id);
    server.produce();
  }
  bool run() {
    return net.run([&] {
      step();
      return client.is_released && server.is_released;
    });
  }
  void expect_intact() {
    EXPECT_EQ(client.received, client.to_receive);
    EXPECT_EQ(server.received, server.to_receive);
    EXPECT_EQ(client.wrong, 0U);
    EXPECT_EQ(server.wrong, 0U);
    EXPECT_EQ(client.end, End::kFinished);
    EXPECT_EQ(server.end, End::kFinished);
  }

  SimNet& net;
  SimStream client;
  SimStream server;
  SimListener listener;
  bool started = false;
};

TEST(Transfer, BothWaysOverBothVersions) {
  for (const bool ipv4 : {true, false}) {
    SimNet net({}, 1);
    Pair pair(net, ipv4, 10, 3'000'000, 1'000'000);
    ASSERT_TRUE(pair.run()) << "stalled";
    pair.expect_intact();
    net.run_for(std::chrono::minutes(3));
    for (SimHost* host : {&net.left(), &net.right()}) {
      EXPECT_EQ(host->tcp.connections(), 0U);
      EXPECT_EQ(host->tcp.ranges_in_use(), 0U);
      EXPECT_EQ(host->pool->in_use(), 0U);
      EXPECT_EQ(host->tcp.counters().retransmissions, 0U);
    }
  }
}

// RFC 9293 MUST-46.
TEST(Transfer, Connect_ToAGroup_IsRefused) {
  SimNet net({}, 1);
  SimStream stream(net.left(), net, 1, 0, 0);
  const auto ipv4 = [](std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
    return wire::Ipv6Address::mapped({a, b, c, d});
  };
  for (const wire::Ipv6Address& group :
       {ipv4(224, 0, 0, 1), ipv4(255, 255, 255, 255), wire::Ipv6Address(0xff02000000000000, 1)}) {
    const auto id = net.left().tcp.connect({group, kPort}, {}, {}, stream.attachment(), net.now);
    ASSERT_FALSE(id.has_value()) << group.to_text();
    EXPECT_EQ(id.error().kind, ErrorKind::kUsage);
  }
}

TEST(Transfer, SuperFramesTouchABulkByteOnce) {
  SimNet net({.delay = milliseconds(1), .super_frames = true}, 1);
  Pair pair(net, true, 10, kBulk, 0);
  ASSERT_TRUE(pair.run());
  pair.expect_intact();
  const std::uint64_t passes = net.left().tcp.passes().total() + net.right().tcp.passes().total();
  EXPECT_LT(passes, kBulk + kBulk / 100);
}

// Virtual time shows every wait for a timer: a window per round trip must flow, and no less.
TEST(Transfer, FastLinksWaitForNoTimer) {
  for (const std::uint64_t size : {std::uint64_t{100}, std::uint64_t{100'000}, kBulk}) {
    SimNet net({.delay = std::chrono::microseconds(10), .super_frames = true}, 1);
    Pair pair(net, true, 10, size, 0);
    const Instant begin = net.now;
    ASSERT_TRUE(net.run([&] {
      pair.step();
      return pair.server.received == size;
    }));
    EXPECT_EQ(pair.server.wrong, 0U);
    const auto round_trips = (net.now - begin) / std::chrono::microseconds(20);
    // ARP, handshake and slow start, then 256 KiB each.
    EXPECT_LE(round_trips, 10 + size / 200'000) << size << " bytes";
  }
}

TEST(Transfer, SurvivesABadLink) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    SimNet net({.delay = milliseconds(5),
                .loss = 0.02,
                .duplicate = 0.01,
                .reorder = 0.02,
                .corrupt = 0.005},
               seed);
    Pair pair(net, seed % 2 == 0, seed * 2, 400'000, 200'000);
    ASSERT_TRUE(pair.run()) << "stalled";
    pair.expect_intact();
    net.run_for(std::chrono::minutes(5));
    for (SimHost* host : {&net.left(), &net.right()}) {
      EXPECT_EQ(host->tcp.connections(), 0U);
      EXPECT_EQ(host->tcp.ranges_in_use(), 0U);
      EXPECT_EQ(host->pool->in_use(), 0U);
    }
  }
}

}  // namespace
}  // namespace tideline::tcp::test
