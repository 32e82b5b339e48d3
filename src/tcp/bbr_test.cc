// SPDX-License-Identifier: Apache-2.0
// BBR on paths in virtual time: the example test cases of the draft's appendix, as far as a path
// can show them; and the arithmetic of delivery rate samples, segment by segment.
#include <gtest/gtest.h>

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tcp/bbr.h"
#include "tcp/delivery_rate.h"
#include "tcp/test_net.h"

namespace tideline::tcp::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kFrame = 1514;
constexpr double kPayload = 1448.0 / kFrame;  // of a full frame, with timestamps

// One flow of BBR, and the states it has gone through.
struct Path {
  explicit Path(const LinkOptions& link, std::uint64_t size = 4'000'000'000,
                const Config& config = {})
      : net(link, 1, config),
        flow(net, true, kPort, 3, size, 0, 1 << 21, {.congestion = CongestionAlgorithm::kBbr}),
        begin(net.now) {
    flow.client.closes = flow.server.closes = false;
    net.watch = [this](const Queued& queued) {
      if (queued.from != 0) return;
      ++sent;
      longest = std::max(longest, queued.waiting);
      if (queued.lost) ++lost;
    };
  }

  struct Phase {
    Duration at{};
    std::string_view name;
    Info info;
  };

  Info info() { return net.left().tcp.info(flow.client.id); }
  void note_phase() {
    const Info now = info();
    if (now.state != State::kEstablished) return;
    if (!phases.empty() && phases.back().name == now.phase) return;
    phases.push_back({net.now - begin, now.phase, now});
  }
  void run(Duration time) {
    net.run(
        [this] {
          flow.step();
          note_phase();
          return false;
        },
        time);
  }
  // False if no state of that name, or of a name that begins so, is entered within `most`.
  bool run_until(std::string_view name, Duration most = seconds(20)) {
    const std::size_t from = phases.size();
    return net.run(
        [&] {
          flow.step();
          note_phase();
          return phases.size() > from && phases.back().name.starts_with(name);
        },
        most);
  }
  // More for the application to send.
  void write(std::uint64_t bytes) {
    flow.client.to_send += bytes;
    flow.client.produce();
  }
  // Mb/s that have arrived while `time` passes.
  double goodput(Duration time) {
    const std::uint64_t before = flow.server.received;
    run(time);
    return static_cast<double>(flow.server.received - before) * 8e3 /
           static_cast<double>(time.count());
  }
  double bandwidth() { return static_cast<double>(info().delivery_rate) * 8e-6; }  // Mb/s
  std::size_t times(std::string_view name) const {
    return static_cast<std::size_t>(std::ranges::count(phases, name, &Phase::name));
  }
  std::string text() const {
    std::string all;
    for (const Phase& phase : phases) {
      all += fmt::format("{} ms {}, ", phase.at.count() / 1'000'000, phase.name);
    }
    return all;
  }

  SimNet net;
  SimFlow flow;
  Instant begin;
  std::vector<Phase> phases;
  std::uint64_t sent = 0;
  std::uint64_t lost = 0;
  Duration longest{};
};

// 50 Mb/s, a round trip of 20 ms: 83 packets. The queue holds a little more.
constexpr LinkOptions kPlain{.delay = milliseconds(10), .rate = 50'000'000, .queue = 100 * kFrame};
constexpr double kPlainRate = 50 * kPayload;

TEST(Bbr, Startup_EndsOnAPlateauOfBandwidth) {
  Path path(kPlain);
  ASSERT_TRUE(path.run_until("Drain")) << path.text();
  EXPECT_NEAR(path.bandwidth(), kPlainRate, kPlainRate * 0.02);
  EXPECT_EQ(path.phases[0].name, "Startup");
  EXPECT_DOUBLE_EQ(path.phases[0].info.pacing_gain, 2.77);
  EXPECT_DOUBLE_EQ(path.info().pacing_gain, 0.5);
  EXPECT_LT(path.phases.back().at, milliseconds(20 * 16)) << "doubles in each round trip";
  EXPECT_EQ(path.lost, 0U);
}

TEST(Bbr, Startup_EndsOnLossInAShallowQueue) {
  LinkOptions link = kPlain;
  link.queue = 8 * kFrame;
  Path path(link);
  ASSERT_TRUE(path.run_until("Drain", seconds(1))) << path.text();
  EXPECT_GT(path.lost, 0U);
  path.run(seconds(5));
  EXPECT_GT(path.goodput(seconds(5)), 0.85 * kPlainRate) << path.text();
}

TEST(Bbr, Drain_EndsWhenTheQueueIsGone) {
  Path path(kPlain);
  ASSERT_TRUE(path.run_until("Drain"));
  const std::uint32_t before = path.info().in_flight;
  ASSERT_TRUE(path.run_until("ProbeBW")) << path.text();
  EXPECT_LE(path.info().in_flight, 84 * 1448U);
  EXPECT_GT(before, 2 * 80 * 1448U * 9 / 10) << "Startup fills twice the path";
}

TEST(Bbr, Drain_EndsAfterThreeRoundsThoughTheQueueIsNotGone) {
  Path path(kPlain);
  ASSERT_TRUE(path.run_until("Drain"));
  const Duration from = path.phases.back().at;
  path.net.link.rate = 5'000'000;
  ASSERT_TRUE(path.run_until("ProbeBW_DOWN", seconds(5))) << path.text();
  EXPECT_GT(path.info().in_flight, 84 * 1448U);
  EXPECT_LT(path.phases.back().at - from, seconds(2));
}

TEST(Bbr, ProbeBw_CyclesThroughItsFourStates) {
  Path path(kPlain);
  ASSERT_TRUE(path.run_until("ProbeBW_UP"));
  path.phases.clear();
  path.run(seconds(4));
  constexpr std::array<std::string_view, 4> kCycle{"ProbeBW_DOWN", "ProbeBW_CRUISE",
                                                   "ProbeBW_REFILL", "ProbeBW_UP"};
  constexpr std::array<double, 4> kPacing{0.9, 1, 1, 1.25};
  constexpr std::array<double, 4> kWindow{2, 2, 2, 2.25};
  ASSERT_GE(path.phases.size(), 6U) << path.text();
  const std::size_t first = path.phases[0].name == "ProbeBW_UP" ? 3 : 0;
  for (std::size_t i = 0; i < 6; ++i) {
    const std::size_t place = (i + first) % 4;
    EXPECT_EQ(path.phases[i].name, kCycle[place]) << path.text();
    EXPECT_DOUBLE_EQ(path.phases[i].info.pacing_gain, kPacing[place]);
    EXPECT_DOUBLE_EQ(path.phases[i].info.cwnd_gain, kWindow[place]);
  }
  EXPECT_EQ(path.lost, 0U);
}

// No more than the probe for bandwidth leaves a queue, and it is gone at once.
TEST(Bbr, ProbeBw_UsesThePathWithoutAQueue) {
  Path path(kPlain);
  path.run(seconds(2));
  Duration sum{};
  std::uint64_t count = 0;
  path.net.watch = [&](const Queued& queued) {
    if (queued.from == 0) sum += queued.waiting, ++count;
  };
  EXPECT_GT(path.goodput(seconds(10)), 0.95 * kPlainRate);
  EXPECT_LT(sum / static_cast<std::int64_t>(count), milliseconds(4));
}

TEST(Bbr, ProbeBw_LossWhileProbingBoundsWhatIsInFlight) {
  LinkOptions link = kPlain;
  link.queue = 20 * kFrame;  // a quarter of the path: less than a probe adds
  Path path(link);
  path.run(seconds(2));
  path.sent = path.lost = 0;
  EXPECT_GT(path.goodput(seconds(10)), 0.9 * kPlainRate);
  EXPECT_LT(static_cast<double>(path.lost), 0.01 * static_cast<double>(path.sent));
  EXPECT_GE(path.times("ProbeBW_UP"), 4U) << path.text();
}

TEST(Bbr, ProbeRtt_ComesEveryFiveSecondsAndIsShort) {
  Path path(kPlain);
  path.run(seconds(16));
  EXPECT_EQ(path.times("ProbeRTT"), 3U) << path.text();
  for (std::size_t i = 0; i + 1 < path.phases.size(); ++i) {
    if (path.phases[i].name != "ProbeRTT") continue;
    const Duration lasted = path.phases[i + 1].at - path.phases[i].at;
    EXPECT_GE(lasted, milliseconds(200));
    EXPECT_LE(lasted, milliseconds(200 + 3 * 21));
    EXPECT_EQ(path.phases[i + 1].name, "ProbeBW_CRUISE");
    EXPECT_LE(path.phases[i].info.cwnd, 43 * 1448U) << "half of what the path holds";
    EXPECT_GT(path.phases[i + 1].info.cwnd, 80 * 1448U) << "restored";
  }
}

// An application that trickles tells nothing of the path's bandwidth: no plateau, no end.
TEST(Bbr, AppLimited_StaysInStartupAndReturnsThereFromProbeRtt) {
  Path path({.delay = milliseconds(50), .rate = 50'000'000}, 0);
  for (int i = 0; i < 1200; ++i) {  // always something in flight
    path.write(2000);
    path.run(milliseconds(10));
  }
  EXPECT_EQ(path.info().phase, "Startup") << path.text();
  EXPECT_GE(path.times("ProbeRTT"), 1U) << path.text();
  EXPECT_EQ(path.times("Drain"), 0U) << path.text();
}

TEST(Bbr, Idle_IsAsGoodAsProbeRttAndRestartsAtFullRate) {
  Path path(kPlain, 8'000'000);
  path.run(seconds(3));
  ASSERT_EQ(path.flow.server.received, 8'000'000U);
  path.run(seconds(7));
  path.phases.clear();
  path.longest = {};
  path.write(4'000'000);
  const Instant from = path.net.now;
  ASSERT_TRUE(path.net.run([&] {
    path.note_phase();
    return path.flow.server.received == 12'000'000;
  }));
  EXPECT_EQ(path.times("ProbeRTT"), 0U) << path.text();
  EXPECT_LT(path.net.now - from, milliseconds(760)) << "4 MB at 47.8 Mb/s are 669 ms";
  EXPECT_LT(path.longest, milliseconds(25)) << "paced from the first on";
}

TEST(Bbr, SmallPath_KeepsFourSegmentsInFlight) {
  Path path({.delay = milliseconds(5), .rate = 256'000, .queue = 50 * kFrame});
  ASSERT_TRUE(path.run_until("ProbeBW_CRUISE", seconds(60))) << path.text();
  EXPECT_GT(path.goodput(seconds(20)), 0.9 * 0.256 * kPayload);
  EXPECT_GE(path.info().cwnd, 4 * 1448U);
}

TEST(Bbr, Bandwidth_TenTimesMoreIsFound) {
  LinkOptions link = kPlain;
  link.rate = 5'000'000;
  Path path(link);
  path.run(seconds(3));
  path.net.link = kPlain;
  // A probe finds a quarter more in each round, and goes on while it grows.
  path.run(seconds(3));
  EXPECT_GT(path.goodput(seconds(1)), 0.9 * kPlainRate) << path.text();
}

TEST(Bbr, Bandwidth_TenTimesLessIsFoundWithinTwoCycles) {
  Path path(kPlain);
  path.run(seconds(3));
  path.net.link.rate = 5'000'000;
  path.run(seconds(9));
  EXPECT_NEAR(path.bandwidth(), 5 * kPayload, 0.5);
  path.longest = {};
  EXPECT_GT(path.goodput(seconds(5)), 0.9 * 5 * kPayload);
  EXPECT_LT(path.longest, milliseconds(200));
}

// A token bucket that drops what comes too fast, and holds nothing back.
TEST(Bbr, Policer_IsConformedTo) {
  Path path({.delay = milliseconds(10), .rate = 500'000'000, .queue = 1000 * kFrame});
  double tokens = 100 * kFrame;
  Instant filled = path.net.now;
  std::uint64_t dropped = 0;
  std::uint64_t passed = 0;
  path.net.filter = [&](unsigned from, const std::vector<std::byte>& frame) {
    if (from != 0) return true;
    const auto elapsed = static_cast<double>((path.net.now - filled).count());
    tokens = std::min(tokens + elapsed * 20e6 / 8e9, 100.0 * kFrame);
    filled = path.net.now;
    const bool passes = tokens >= static_cast<double>(frame.size());
    if (passes) tokens -= static_cast<double>(frame.size());
    ++(passes ? passed : dropped);
    return passes;
  };
  path.run(seconds(5));
  dropped = passed = 0;
  EXPECT_GT(path.goodput(seconds(20)), 0.75 * 20 * kPayload) << path.text();
  EXPECT_LT(static_cast<double>(dropped), 0.05 * static_cast<double>(passed));
}

// Reordering that looks like loss is undone, and does not slow the flow down.
TEST(Bbr, SpuriousRecovery_IsUndone) {
  LinkOptions link = kPlain;
  link.reorder = 0.002;
  link.reorder_delay = milliseconds(12);
  Path path(link);
  path.run(seconds(1));
  EXPECT_GT(path.goodput(seconds(10)), 0.9 * kPlainRate) << path.text();
  EXPECT_GT(path.info().undone, 0U);
}

// §5.3.3.8: 1 % in each of the 62 rounds between two probes leaves (1 - 0.01)^62 of the rate at
// their end, three quarters on average.
TEST(Bbr, RandomLoss_BelowTheThresholdCostsLittle) {
  LinkOptions link = kPlain;
  link.loss = 0.01;
  Path path(link);
  path.run(seconds(1));
  EXPECT_GT(path.goodput(seconds(10)), 0.75 * kPlainRate) << path.text();
}

// Marks are congestion: a queue that marks keeps BBR from filling it.
TEST(Bbr, Marks_AreHeeded) {
  LinkOptions link = kPlain;
  link.queue = 400 * kFrame;
  link.mark_threshold = 20 * kFrame;
  Path path(link, 4'000'000'000, {.ecn = true});
  path.run(seconds(2));
  EXPECT_TRUE(path.info().ecn);
  path.longest = {};
  EXPECT_GT(path.goodput(seconds(10)), 0.8 * kPlainRate) << path.text();
  EXPECT_LT(path.longest, milliseconds(15));
  EXPECT_EQ(path.lost, 0U);
}

TEST(Bbr, CanBeChosenAndLeftInMidFlow) {
  SimNet net(kPlain, 4);
  SimFlow flow(net, true, kPort, 3, 20'000'000, 0, 1 << 21, {});
  const std::array<CongestionAlgorithm, 4> choices{
      CongestionAlgorithm::kBbr, CongestionAlgorithm::kDctcp, CongestionAlgorithm::kBbr,
      CongestionAlgorithm::kCubic};
  for (const CongestionAlgorithm choice : choices) {
    net.run(
        [&] {
          flow.step();
          return false;
        },
        milliseconds(300));
    net.left().tcp.set_options(flow.client.id, {.congestion = choice}, net.now);
    const bool bbr = choice == CongestionAlgorithm::kBbr;
    EXPECT_EQ(net.left().tcp.info(flow.client.id).phase.empty(), !bbr);
  }
  ASSERT_TRUE(net.run([&] { return flow.is_over(); }));
  flow.expect_intact();
}

// Ten segments of 1000 bytes, one each millisecond; a round trip of 20 ms.
class Samples : public testing::Test {
 protected:
  static constexpr Duration kRtt = milliseconds(20);

  Samples() {
    for (std::uint32_t i = 0; i < ranges_.size(); ++i) {
      Range& range = ranges_[i];
      range.begin = Seq(1000 * i);
      range.end = Seq(1000 * (i + 1));
      range.sent = start_ + milliseconds(i);
      rate_.on_packet_sent(range, 1000 * (i + 1));
    }
  }
  const RateSample& acknowledge(std::size_t from, std::size_t to, Duration after) {
    rate_.init_rate_sample();
    for (std::size_t i = from; i < to; ++i) {
      rate_.update_rate_sample(ranges_[i], ranges_[i].end, start_ + after);
    }
    rate_.generate_rate_sample(kRtt);
    return rate_.sample();
  }

  Instant start_{seconds(100)};
  std::array<Range, 10> ranges_{};
  DeliveryRate rate_;
};

// §4.1.1.2.1: what was delivered since the segment was sent, per that time.
TEST_F(Samples, RateIsThatOfAcknowledgments) {
  const RateSample first = acknowledge(0, 1, kRtt);
  EXPECT_EQ(first.delivered, 1000U);
  EXPECT_EQ(first.interval, kRtt);
  EXPECT_DOUBLE_EQ(first.delivery_rate, 50'000);
  EXPECT_EQ(first.tx_in_flight, 1000U);
  // Two at once, the newer of which counts.
  const RateSample second = acknowledge(1, 3, kRtt + milliseconds(2));
  EXPECT_EQ(second.delivered, 3000U);
  EXPECT_EQ(second.interval, kRtt + milliseconds(2));
  EXPECT_EQ(second.tx_in_flight, 3000U);
}

// §4.1.1.2.3: acknowledgments that were held back and come at once do not make the path fast.
TEST_F(Samples, CompressedAcknowledgmentsAreBoundedBySending) {
  acknowledge(0, 1, kRtt);
  // The next flight leaves in a millisecond's steps; all of it is acknowledged within one.
  for (std::uint32_t i = 1; i < 10; ++i) {
    ranges_[i].sent = start_ + kRtt + milliseconds(3 * i);
    rate_.on_packet_sent(ranges_[i], 9000);
  }
  acknowledge(1, 2, milliseconds(60));
  const RateSample last = acknowledge(2, 10, milliseconds(61));
  EXPECT_EQ(last.ack_elapsed, milliseconds(41));
  EXPECT_EQ(last.interval, milliseconds(47)) << "from the sending of the first to that of the last";
  EXPECT_NEAR(last.delivery_rate, 9000 / 0.047, 1);
}

TEST_F(Samples, AnIntervalShorterThanTheRoundTripIsNone) {
  EXPECT_EQ(acknowledge(0, 1, kRtt - milliseconds(1)).delivery_rate, 0);
}

// §4.1.1.3: until what was in flight when the application had nothing is delivered.
TEST_F(Samples, WhatTheApplicationBoundsIsMarked) {
  rate_.mark_connection_app_limited(10'000);
  Range late{.begin = Seq(10'000), .end = Seq(11'000)};
  late.sent = start_ + milliseconds(15);
  rate_.on_packet_sent(late, 11'000);
  EXPECT_FALSE(acknowledge(0, 10, milliseconds(30)).is_app_limited) << "sent before";
  EXPECT_TRUE(rate_.is_app_limited());
  rate_.init_rate_sample();
  rate_.update_rate_sample(late, late.end, start_ + milliseconds(36));
  rate_.generate_rate_sample(kRtt);
  EXPECT_TRUE(rate_.sample().is_app_limited);
  EXPECT_FALSE(rate_.is_app_limited()) << "the bubble has been delivered";
}

TEST_F(Samples, LossesAreThoseSinceItWasSent) {
  rate_.count_lost(500);
  Range next{.begin = Seq(10'000), .end = Seq(11'000)};
  next.sent = start_ + milliseconds(15);
  rate_.on_packet_sent(next, 11'000);
  rate_.count_lost(2000);
  EXPECT_EQ(acknowledge(9, 10, milliseconds(30)).lost, 2500U);
  rate_.init_rate_sample();
  rate_.update_rate_sample(next, next.end, start_ + milliseconds(36));
  rate_.generate_rate_sample(kRtt);
  EXPECT_EQ(rate_.sample().lost, 2000U);
}

}  // namespace
}  // namespace tideline::tcp::test
