// SPDX-License-Identifier: Apache-2.0
// A source and a sink in virtual time, joined by a wire that loses, delays and fills up.
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "base/random.h"
#include "udp_blast/sink.h"
#include "udp_blast/source.h"

namespace tideline::app::blast {
namespace {

using namespace std::chrono_literals;

using Datagram = std::vector<std::byte>;

constexpr ip::UdpEndpoint kSender{.address = wire::Ipv6Address(0x20010db800000000, 1),
                                  .port = 50000};
constexpr ip::UdpEndpoint kOther{.address = wire::Ipv6Address(0x20010db800000000, 3),
                                 .port = 50000};

Datagram message(Kind kind, std::uint32_t run, std::uint64_t sequence, std::size_t size) {
  Datagram datagram(std::max(size, sizeof(Header)));
  wire::view_as<Header>(wire::MutableBytes(datagram)) = make_header(kind, run, sequence, 0);
  datagram.resize(size);
  return datagram;
}

class World final : private Outlet, private SinkIo {
 public:
  explicit World(const Plan& the_plan) : plan(the_plan), source(the_plan, *this), sink(*this, 1) {}

  void run() {
    for (int steps = 0; !source.is_over(); ++steps) {
      ASSERT_LT(steps, 1'000'000);
      const Instant arrival = wire_.empty() ? kNever : wire_.begin()->first;
      now = std::max(now, std::min(source.next_deadline(), arrival));
      if (source.next_deadline() <= now) {
        source.run(now);
        now += 1us;  // sending takes time
      }
      while (!wire_.empty() && wire_.begin()->first <= now) {
        const auto [to_sink, datagram] = std::move(wire_.begin()->second);
        wire_.erase(wire_.begin());
        if (to_sink) {
          sink.receive(kSender, datagram, datagram.size(), now);
        } else {
          source.receive(datagram, now);
        }
      }
    }
  }

  // Whether the wire loses what is sent to it now.
  std::function<bool(Kind)> loses = [](Kind /*kind*/) { return false; };
  std::size_t room_left = 10;
  Duration delay = 50us;
  std::uint64_t lost_data = 0;
  Instant now{1h};
  Plan plan;
  Source source;
  Sink sink;

 private:
  void put(bool to_sink, Datagram datagram, Kind kind) {
    if (!loses(kind)) wire_.emplace(now + delay, std::pair(to_sink, std::move(datagram)));
  }
  std::size_t room() override { return room_left; }
  std::size_t send_data(std::uint64_t first, std::size_t count, Instant /*now*/) override {
    for (std::uint64_t i = first; i < first + count; ++i) {
      if (loses(Kind::kData)) {
        ++lost_data;
        continue;
      }
      wire_.emplace(now + delay, std::pair(true, message(Kind::kData, plan.run, i, plan.size)));
    }
    return count;
  }
  void send_message(wire::Bytes bytes, Instant /*now*/) override {
    put(true, Datagram(bytes.begin(), bytes.end()), *kind_of(bytes));
  }
  void answer(const ip::UdpEndpoint& to, wire::Bytes bytes, Instant /*now*/) override {
    EXPECT_TRUE(to == kSender);
    put(false, Datagram(bytes.begin(), bytes.end()), *kind_of(bytes));
  }
  Effort effort() override {
    return {.cpu_ns = static_cast<std::uint64_t>(now.time_since_epoch().count())};
  }

  std::multimap<Instant, std::pair<bool, Datagram>> wire_;
};

TEST(Run, TheReportHoldsWhatWasSent) {
  World world({.size = 1000, .count = 1234, .run = 9});
  world.run();
  ASSERT_EQ(world.source.state(), Source::State::kDone);
  const Report& report = *world.source.report();
  EXPECT_EQ(report.datagrams, 1234U);
  EXPECT_EQ(report.bytes, 1'234'000U);
  EXPECT_EQ(report.lost + report.duplicates + report.reordered, 0U);
  EXPECT_EQ(world.source.sent(), 1234U);
  EXPECT_GT(world.source.effort().cpu_ns, 0U);
}

TEST(Run, WhatTheWireLosesIsReportedExactly) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    World world({.size = 100, .count = 5000, .run = 9});
    Rng rng(seed);
    world.loses = [&](Kind /*kind*/) { return rng.below(10) == 0; };  // its messages too
    world.run();
    ASSERT_EQ(world.source.state(), Source::State::kDone) << "seed " << seed;
    EXPECT_EQ(world.source.report()->lost, world.lost_data) << "seed " << seed;
  }
}

TEST(Run, TheLastDatagramsMayBeLostOrSlow) {
  World slow({.size = 100, .count = 100, .run = 9});
  slow.delay = 80ms;  // the end is told long before they arrive
  slow.run();
  ASSERT_EQ(slow.source.state(), Source::State::kDone);
  EXPECT_EQ(slow.source.report()->lost, 0U);
  World lossy({.size = 100, .count = 100, .run = 9});
  lossy.loses = [&](Kind kind) { return kind == Kind::kData && lossy.source.sent() >= 50; };
  lossy.run();
  EXPECT_EQ(lossy.source.report()->lost, lossy.lost_data);
  EXPECT_EQ(lossy.lost_data, 50U);
}

TEST(Run, ShortDatagramsAreCountedWithoutNumbers) {
  for (const std::size_t size : {1U, 23U}) {
    World world({.size = size, .count = 100, .run = 9});
    int sent = 0;
    world.loses = [&](Kind kind) { return kind == Kind::kData && ++sent % 10 == 0; };
    world.run();
    ASSERT_EQ(world.source.state(), Source::State::kDone);
    EXPECT_EQ(world.source.report()->datagrams, 90U);
    EXPECT_EQ(world.source.report()->lost, 10U);
  }
}

TEST(Run, ThePaceIsKept) {
  World world(
      {.size = 1250, .rate_bits = 10'000'000, .duration = 2s, .run = 9});  // 1000 per second
  world.run();
  EXPECT_NEAR(static_cast<double>(world.source.sent()), 2000, 3);
}

TEST(Run, TimeLostIsNotMadeUpForInOneBurst) {
  World world({.size = 1250, .rate_bits = 10'000'000, .duration = 2s, .run = 9});
  world.source.run(world.now);
  const Datagram ready = message(Kind::kReady, 9, 0, sizeof(Header));
  world.source.receive(ready, world.now);
  world.source.run(world.now);
  world.room_left = 1000;
  const std::uint64_t before = world.source.sent();
  world.source.run(world.now + 1s);
  EXPECT_LE(world.source.sent() - before, 12U);
}

TEST(Run, AWireWithoutRoomIsWaitedFor) {
  World world({.size = 100, .count = 10, .run = 9});
  world.source.run(world.now);
  world.source.receive(message(Kind::kReady, 9, 0, sizeof(Header)), world.now);
  world.room_left = 0;
  for (int i = 0; i < 5; ++i) world.source.run(world.now);
  EXPECT_EQ(world.source.sent(), 0U);
  EXPECT_EQ(world.source.blocked(), 5U);
  world.room_left = 3;
  world.source.run(world.now);
  EXPECT_EQ(world.source.sent(), 3U);
}

TEST(Run, WithoutASinkTheSourceGivesUp) {
  World silent({.count = 10, .run = 9});
  silent.loses = [](Kind /*kind*/) { return true; };
  silent.run();
  EXPECT_EQ(silent.source.state(), Source::State::kUnanswered);
  World vanishing({.count = 10, .run = 9});
  vanishing.loses = [](Kind kind) { return kind == Kind::kReport; };
  vanishing.run();
  EXPECT_EQ(vanishing.source.state(), Source::State::kUnanswered);
}

TEST(Run, StrangersAndOtherRunsAreStrays) {
  World world({.size = 100, .count = 10, .run = 9});
  world.run();
  Sink& sink = world.sink;
  const std::uint64_t before = sink.datagrams();
  const auto put = [&](const ip::UdpEndpoint& from, const Datagram& datagram) {
    sink.receive(from, datagram, datagram.size(), world.now);
  };
  put(kOther, message(Kind::kData, 9, 3, 100));   // never began
  put(kSender, message(Kind::kData, 8, 3, 100));  // of another run
  put(kSender, message(Kind::kData, 9, 3, 100));  // after its end
  put(kSender, Datagram(100));                    // no message at all
  put(kSender, Datagram(0));
  EXPECT_EQ(sink.strays(), 5U);
  EXPECT_EQ(sink.datagrams(), before);
}

TEST(Run, ASinkEndsWhenItsLastReportIsNotAskedForAgain) {
  World world({.size = 100, .count = 10, .run = 9});
  world.run();
  EXPECT_FALSE(world.sink.is_done(world.now));
  EXPECT_TRUE(world.sink.is_done(world.now + 1s));
}

}  // namespace
}  // namespace tideline::app::blast
