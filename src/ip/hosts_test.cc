// SPDX-License-Identifier: Apache-2.0
// Two hosts in virtual time, joined by a link that delays, and loses and reorders if told to: every
// size of echo over both IP versions and two MTUs, byte by byte, and no packet left behind.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <tuple>

#include "ip/frame.h"
#include "ip/stack.h"
#include "ip/test_host.h"

namespace tideline::ip {
namespace {

struct LinkOptions {
  double loss = 0;
  bool reorder = false;
};

// Frames under way, by the time at which they arrive.
class Link {
 public:
  Link(const LinkOptions& options, Rng& rng) : options_(options), rng_(rng) {}

  void put(ByteVector frame, int receiver, Instant now) {
    if (rng_.unit() < options_.loss) return;
    const auto jitter = options_.reorder ? rng_.below(200'000) : 0;
    const Duration delay = std::chrono::microseconds(50) + Duration(jitter);
    frames_.emplace(now + delay, std::pair(receiver, std::move(frame)));
  }
  Instant next() const { return frames_.empty() ? kNever : frames_.begin()->first; }
  std::pair<int, ByteVector> take() {
    auto first = std::move(frames_.begin()->second);
    frames_.erase(frames_.begin());
    return first;
  }

 private:
  LinkOptions options_;
  Rng& rng_;
  std::multimap<Instant, std::pair<int, ByteVector>> frames_;
};

class Host final : public Output, public Events, public EchoHandler, public UdpHandler {
 public:
  Host(int number, const MacAddress& mac, std::uint16_t mtu, Link& link, Rng& rng)
      : number_(number),
        link_(link),
        pool(make_pool(2048, 1024)),
        stack({.mac = mac, .mtu = mtu}, *pool, rng, *this, *this) {
    EXPECT_TRUE(stack.open_echo(7, *this));
    EXPECT_TRUE(stack.udp().bind({.address = {}, .port = 9}, *this));
  }

  void transmit(packet::PacketPtr frame, Instant now) override {
    packet::PassCounter passes;
    EXPECT_TRUE(packet::complete_checksum(*frame, passes));
    largest_frame = std::max(largest_frame, frame->size());
    link_.put(contents(*frame), 1 - number_, now);
  }
  void echo_replied(EchoReply reply, Instant /*now*/) override {
    replies.emplace_back(reply.sequence, contents(*reply.data));
  }
  void echo_failed(const PathError& error, Instant /*now*/) override {
    failures.push_back(error.kind);
  }
  void receive(packet::PacketPtr payload, const UdpPath& path, Instant /*now*/) override {
    datagrams.emplace_back(path.source.port, contents(*payload));
  }
  void failed(const PathError& error, Instant /*now*/) override { failures.push_back(error.kind); }

 private:
  int number_;
  Link& link_;

 public:
  std::unique_ptr<packet::Pool> pool;
  Stack stack;
  std::vector<std::pair<std::uint16_t, ByteVector>> replies;
  std::vector<std::pair<std::uint16_t, ByteVector>> datagrams;
  std::vector<PathErrorKind> failures;
  std::size_t largest_frame = 0;
};

class World {
 public:
  World(const LinkOptions& options, std::uint16_t mtu, std::uint64_t seed)
      : rng(seed),
        link(options, rng),
        a(0, kOurMac, mtu, link, rng),
        b(1, kPeerMac, mtu, link, rng) {
    EXPECT_TRUE(a.stack.add_address(wire::Ipv4Prefix{kOurs4, 24}, now));
    EXPECT_TRUE(b.stack.add_address(wire::Ipv4Prefix{kPeer4, 24}, now));
    EXPECT_TRUE(a.stack.add_address(wire::Ipv6Prefix{kOurs6, 64}, now));
    EXPECT_TRUE(b.stack.add_address(wire::Ipv6Prefix{kPeer6, 64}, now));
    run(std::chrono::seconds(3));  // duplicate address detection
  }

  void run(Duration duration) {
    const Instant end = now + duration;
    for (;;) {
      const Instant next =
          std::min({link.next(), a.stack.next_deadline(), b.stack.next_deadline()});
      if (next > end) break;
      now = std::max(now, next);
      a.stack.run_timers(now);
      b.stack.run_timers(now);
      while (link.next() <= now) {
        auto [receiver, frame] = link.take();
        Host& host = receiver == 0 ? a : b;
        packet::PassCounter passes;
        packet::PacketPtr packet = packet::copy_of(frame, *host.pool, passes);
        ASSERT_NE(packet, nullptr);
        host.stack.receive(std::move(packet), now);
      }
    }
    now = end;
  }

  Sent ping(const ByteVector& data, const Ipv6Address& to, std::uint16_t sequence) {
    packet::PassCounter passes;
    packet::PacketPtr packet =
        data.empty() ? a.pool->get() : packet::copy_of(data, *a.pool, passes);
    return a.stack.ping(std::move(packet), to, 7, sequence, now);
  }

  Instant now{std::chrono::hours(1)};
  Rng rng;
  Link link;
  Host a;
  Host b;
};

using MtuAndVersion = std::tuple<std::uint16_t, bool>;  // MTU, IPv6

class Hosts : public ::testing::TestWithParam<MtuAndVersion> {
 protected:
  std::uint16_t mtu() const { return std::get<0>(GetParam()); }
  bool six() const { return std::get<1>(GetParam()); }
  Ipv6Address peer() const { return six() ? kPeer6 : Ipv6Address::mapped(kPeer4); }
  Ipv6Address ours() const { return six() ? kOurs6 : Ipv6Address::mapped(kOurs4); }
};

TEST_P(Hosts, EchoesOfEverySizeReturnIntact) {
  World world({.reorder = true}, mtu(), 1);
  std::uint16_t sequence = 0;
  for (const auto size : std::initializer_list<std::size_t>{
           0,    1,    7,    8,     56,    1231,  1232,  1233,  1451, 1452, 1453,
           1471, 1472, 1473, 2047,  2048,  2960,  4095,  8191,  8951, 8952, 8953,
           8972, 8973, 9000, 16384, 32767, 65000, 65499, 65506, 65507}) {
    ++sequence;
    const ByteVector data = pattern(size, size);
    world.a.replies.clear();
    ASSERT_TRUE(world.ping(data, peer(), sequence));
    world.run(std::chrono::milliseconds(10));
    ASSERT_EQ(world.a.replies.size(), 1U) << size << " bytes";
    EXPECT_EQ(world.a.replies[0].first, sequence);
    EXPECT_TRUE(world.a.replies[0].second == data) << size << " bytes";
    world.a.replies.clear();
    EXPECT_EQ(world.a.pool->in_use(), 0U) << size << " bytes";
    EXPECT_EQ(world.b.pool->in_use(), 0U) << size << " bytes";
  }
  EXPECT_LE(world.a.largest_frame, mtu() + sizeof(wire::EthernetHeader));
  EXPECT_LE(world.b.largest_frame, mtu() + sizeof(wire::EthernetHeader));
  EXPECT_TRUE(world.a.failures.empty());
}

TEST_P(Hosts, DatagramsArriveWithTheirChecksums) {
  World world({}, mtu(), 2);
  packet::PassCounter passes;
  for (const auto size : std::initializer_list<std::size_t>{0, 1, 1400, 1472, 1473, 9001, 65507}) {
    const ByteVector data = pattern(size, size + 1);
    packet::PacketPtr packet =
        data.empty() ? world.a.pool->get() : packet::copy_of(data, *world.a.pool, passes);
    ASSERT_TRUE(world.a.stack.udp().send(std::move(packet),
                                         {.source = {.address = ours(), .port = 5000},
                                          .destination = {.address = peer(), .port = 9}},
                                         world.now));
    world.run(std::chrono::milliseconds(10));
    ASSERT_EQ(world.b.datagrams.size(), 1U) << size << " bytes";
    EXPECT_EQ(world.b.datagrams[0].first, 5000);
    EXPECT_TRUE(world.b.datagrams[0].second == data) << size << " bytes";
    world.b.datagrams.clear();
  }
  EXPECT_EQ(world.a.pool->in_use(), 0U);
  EXPECT_EQ(world.b.pool->in_use(), 0U);
}

TEST_P(Hosts, OverALossyLinkWhatReturnsIsIntactAndNothingIsLeftBehind) {
  World world({.loss = 0.02, .reorder = true}, mtu(), 3);
  std::map<std::uint16_t, ByteVector> asked;
  for (std::uint16_t sequence = 1; sequence <= 200; ++sequence) {
    ByteVector data = pattern(world.rng.below(20000), sequence);
    (void)world.ping(data, peer(), sequence);
    asked.emplace(sequence, std::move(data));
    world.run(std::chrono::milliseconds(20));
  }
  EXPECT_GT(world.a.replies.size(), 50U);
  EXPECT_LT(world.a.replies.size(), 200U);
  for (const auto& [sequence, data] : world.a.replies) {
    EXPECT_TRUE(asked.at(sequence) == data) << sequence;
  }
  world.run(std::chrono::minutes(2));
  EXPECT_EQ(world.a.stack.reassembler().datagrams(), 0U);
  EXPECT_EQ(world.b.stack.reassembler().datagrams(), 0U);
  EXPECT_EQ(world.a.pool->in_use(), 0U);
  EXPECT_EQ(world.b.pool->in_use(), 0U);
}

TEST_P(Hosts, WhoDoesNotAnswerIsReportedToTheSender) {
  World world({}, mtu(), 4);
  const Ipv6Address nobody = six() ? kOther6 : Ipv6Address::mapped(kOther4);
  ASSERT_TRUE(world.ping(pattern(5000, 1), nobody, 1));
  world.run(std::chrono::seconds(5));
  ASSERT_EQ(world.a.failures.size(), 1U);
  EXPECT_EQ(world.a.failures[0], PathErrorKind::kHostUnreachable);
  EXPECT_EQ(world.a.pool->in_use(), 0U);
}

TEST_P(Hosts, AClosedPortIsReportedToTheSender) {
  World world({}, mtu(), 5);
  packet::PassCounter passes;
  ASSERT_TRUE(world.a.stack.udp().send(
      packet::copy_of(pattern(100, 1), *world.a.pool, passes),
      {.source = {.address = ours(), .port = 9}, .destination = {.address = peer(), .port = 10}},
      world.now));
  world.run(std::chrono::milliseconds(10));
  ASSERT_EQ(world.a.failures.size(), 1U);
  EXPECT_EQ(world.a.failures[0], PathErrorKind::kPortUnreachable);
}

INSTANTIATE_TEST_SUITE_P(Mtus, Hosts,
                         ::testing::Combine(::testing::Values(1500, 9000), ::testing::Bool()),
                         [](const auto& param_info) {
                           return (std::get<1>(param_info.param) ? "Ipv6Mtu" : "Ipv4Mtu") +
                                  std::to_string(std::get<0>(param_info.param));
                         });

}  // namespace
}  // namespace tideline::ip
