// SPDX-License-Identifier: Apache-2.0
// The search for a path's MTU over paths in virtual time that drop what is too long and say
// nothing. The sections are those of RFC 4821; segment by segment: mtu_probe_test.cc.
#include <gtest/gtest.h>

#include <fmt/core.h>

#include <array>
#include <string>
#include <vector>

#include "tcp/test_net.h"

namespace tideline::tcp::test {
namespace {

using std::chrono::milliseconds;

// A path whose routers drop what is longer than `mtu`, and say nothing of it.
class SilentPath {
 public:
  SilentPath(SimNet& net, std::uint16_t mtu) : mtu_(mtu) {
    constexpr std::size_t kEthernet = 14;
    net.filter = [this](unsigned /*from*/, const std::vector<std::byte>& frame) {
      const bool passes = frame.size() <= mtu_ + kEthernet;
      if (!passes) ++vanished;
      return passes;
    };
  }
  void set_mtu(std::uint16_t mtu) { mtu_ = mtu; }

  std::uint64_t vanished = 0;

 private:
  std::uint16_t mtu_;
};

struct Case {
  bool ipv4 = true;
  MtuProbing probing = MtuProbing::kBlackHole;
  CongestionAlgorithm congestion = CongestionAlgorithm::kCubic;
  double loss = 0;
  bool sack = true;
  bool timestamps = true;

  std::string text() const {
    return fmt::format("IPv{} {} algorithm {} loss {} sack {} timestamps {}", ipv4 ? 4 : 6,
                       probing == MtuProbing::kAlways ? "always" : "black-hole",
                       static_cast<int>(congestion), loss, sack, timestamps);
  }
};

// Paced, a window of a few segments is enough, and no queue is ever full: but for what the path
// drops on purpose, nothing is lost.
StreamOptions paced(CongestionAlgorithm congestion = CongestionAlgorithm::kCubic) {
  return {.max_pacing_rate = 5'000'000, .congestion = congestion};
}

bool is_found(const Info& info) { return info.mtu_probes > 0 && !info.searches_mtu; }

// What passes is found to the byte, and every byte arrives.
void expect_found(const Case& each, std::uint16_t mtu) {
  SCOPED_TRACE(each.text() + fmt::format(" MTU {}", mtu));
  SimNet net({.delay = milliseconds(1), .loss = each.loss}, mtu,
             {.timestamps = each.timestamps, .sack = each.sack, .mtu_probing = each.probing});
  const SilentPath path(net, mtu);
  constexpr std::uint64_t kSize = 40'000'000;
  SimFlow flow(net, each.ipv4, kPort, 5, kSize, 0, 1 << 18, paced(each.congestion));
  Info info;
  ASSERT_TRUE(net.run([&] {
    flow.step();
    info = net.left().tcp.info(flow.client.id, net.now);
    return is_found(info);
  })) << flow.server.received
      << " bytes arrived";
  EXPECT_EQ(info.path_mtu, mtu) << info.mtu_probes << " probes, " << info.mtu_probes_lost
                                << " lost";
  EXPECT_LE(info.mtu_probes, 60U);
  const bool fell = net.left().tcp.counters().black_holes > 0;
  EXPECT_EQ(fell, each.probing == MtuProbing::kBlackHole);
  const std::uint64_t vanished = path.vanished;
  ASSERT_TRUE(net.run([&] {
    flow.step();
    return flow.is_over();
  }));
  flow.expect_intact();
  // Ten minutes later it would be looked for again, but by then all has been sent.
  EXPECT_EQ(path.vanished, vanished) << "segments that are too long after the search";
}

TEST(MtuProbePath, ThatDropsLongPackets_IsMeasuredToTheByte) {
  for (const bool ipv4 : {true, false}) {
    for (const MtuProbing probing : {MtuProbing::kBlackHole, MtuProbing::kAlways}) {
      for (const auto mtu : std::to_array<std::uint16_t>({1281, 1337, 1400, 1492, 1499})) {
        expect_found({.ipv4 = ipv4, .probing = probing}, mtu);
      }
    }
  }
}

TEST(MtuProbePath, ThatDropsLongPackets_IsMeasuredByEveryAlgorithm) {
  for (const CongestionAlgorithm congestion :
       {CongestionAlgorithm::kCubic, CongestionAlgorithm::kReno, CongestionAlgorithm::kBbr,
        CongestionAlgorithm::kDctcp}) {
    expect_found({.probing = MtuProbing::kAlways, .congestion = congestion}, 1420);
    expect_found({.ipv4 = false, .congestion = congestion}, 1350);
  }
}

TEST(MtuProbePath, ThatLosesAtRandom_IsMeasuredToTheByte) {
  for (const auto mtu : std::to_array<std::uint16_t>({1300, 1400, 1455})) {
    for (const bool ipv4 : {true, false}) {
      expect_found({.ipv4 = ipv4, .probing = MtuProbing::kAlways, .loss = 0.01}, mtu);
      expect_found({.ipv4 = ipv4, .loss = 0.01}, mtu);
    }
  }
}

TEST(MtuProbePath, WithoutSackOrTimestamps_IsMeasuredToTheByte) {
  expect_found({.probing = MtuProbing::kAlways, .sack = false}, 1400);
  expect_found({.sack = false, .timestamps = false}, 1380);
  expect_found({.ipv4 = false, .timestamps = false}, 1380);
}

// RFC 4821 §7.6.2, watched from outside: on a path that loses nothing else, a search with many lost
// probes has no recovery, no time-out, and a window that never shrinks.
TEST(MtuProbePath, LostProbes_AreNotCongestion) {
  for (const CongestionAlgorithm congestion :
       {CongestionAlgorithm::kCubic, CongestionAlgorithm::kReno, CongestionAlgorithm::kDctcp}) {
    SimNet net({.delay = milliseconds(2)}, 3, {.mtu_probing = MtuProbing::kAlways});
    const SilentPath path(net, 1333);
    SimFlow flow(net, true, kPort, 5, 1'000'000'000, 0, 1 << 18, paced(congestion));
    std::uint32_t cwnd = 0;
    ASSERT_TRUE(net.run([&] {
      flow.step();
      const Info info = net.left().tcp.info(flow.client.id, net.now);
      EXPECT_GE(info.cwnd, cwnd) << info.mtu_probes_lost << " probes lost";
      EXPECT_LT(info.recovery, RecoveryState::kCwr);
      cwnd = info.cwnd;
      return testing::Test::HasFailure() || is_found(info);
    }));
    const Info info = net.left().tcp.info(flow.client.id, net.now);
    EXPECT_GE(info.mtu_probes_lost, 9U);
    EXPECT_EQ(path.vanished, info.mtu_probes_lost) << "segments vanished that were no probes";
    EXPECT_EQ(info.timeouts, 0U);
    EXPECT_EQ(info.recoveries, 0U);
    EXPECT_EQ(info.path_mtu, 1333);
  }
}

// §7.6.2: after one that was lost, as many round trips without as the window has packets.
TEST(MtuProbePath, LostProbes_AreRare) {
  SimNet net({.delay = milliseconds(5)}, 3, {.mtu_probing = MtuProbing::kAlways});
  const SilentPath path(net, 1250);
  SimFlow flow(net, true, kPort, 5, 1'000'000'000, 0, 1 << 18, paced());
  Info before;
  Instant next{};
  EXPECT_TRUE(net.run([&] {
    flow.step();
    const Info info = net.left().tcp.info(flow.client.id, net.now);
    if (info.mtu_probes > before.mtu_probes) {
      EXPECT_GE(net.now, next) << "a probe too early";
    }
    if (info.mtu_probes_lost > before.mtu_probes_lost) {
      // Its path has a round trip time of ten milliseconds.
      next = net.now + milliseconds(10) * (info.cwnd / info.mss - 1);
    }
    before = info;
    return is_found(info);
  }));
  EXPECT_GE(before.mtu_probes_lost, 6U);
  EXPECT_EQ(before.path_mtu, 1250);
}

// The path becomes narrower under way, and wider again: §7.7, then the timer of RFC 8899 §5.1.1.
TEST(MtuProbePath, ThatChanges_IsFollowed) {
  for (const MtuProbing probing : {MtuProbing::kBlackHole, MtuProbing::kAlways}) {
    for (const bool ipv4 : {true, false}) {
      SimNet net({.delay = milliseconds(10)}, 9,
                 {.mtu_probing = probing, .mtu_raise_time = std::chrono::minutes(2)});
      SilentPath path(net, 1500);
      SimFlow flow(net, ipv4, kPort, 5, 1'000'000'000'000, 0, 1 << 18,
                   {.max_pacing_rate = 1'000'000});
      const auto mtu = [&] { return net.left().tcp.info(flow.client.id, net.now).path_mtu; };
      const auto run_for = [&](Duration time) {
        net.run(
            [&] {
              flow.step();
              return false;
            },
            time);
      };
      run_for(std::chrono::seconds(10));
      EXPECT_EQ(mtu(), 1500);
      path.set_mtu(1380);
      run_for(std::chrono::seconds(50));
      EXPECT_EQ(mtu(), 1380);
      path.set_mtu(1300);
      run_for(std::chrono::seconds(50));
      EXPECT_EQ(mtu(), 1300);
      path.set_mtu(1500);
      const std::uint64_t before = flow.server.received;
      run_for(std::chrono::minutes(3));
      EXPECT_EQ(mtu(), 1500);
      EXPECT_GT(flow.server.received, before);
      EXPECT_EQ(flow.server.wrong, 0U);
    }
  }
}

// Signed segments have less payload, and are found to fit likewise.
TEST(MtuProbePath, OfAuthenticatedSegments_IsMeasuredToTheByte) {
  MasterKey key{.send_id = 1, .receive_id = 1};
  key.size = 16;
  SimNet net({.delay = milliseconds(1)}, 4, {.mtu_probing = MtuProbing::kAlways});
  const SilentPath path(net, 1444);
  SimFlow flow(net, true, kPort, 5, 40'000'000, 0, 1 << 18, paced(),
               {.client = {key}, .server = {key}});
  Info info;
  ASSERT_TRUE(net.run([&] {
    flow.step();
    info = net.left().tcp.info(flow.client.id, net.now);
    return is_found(info);
  }));
  EXPECT_EQ(info.path_mtu, 1444);
}

// What it means to be off.
TEST(MtuProbePath, WhenOff_StallsConnections) {
  SimNet net({.delay = milliseconds(1)}, 4, {.mtu_probing = MtuProbing::kOff});
  const SilentPath path(net, 1400);
  SimFlow flow(net, true, kPort, 5, 1'000'000, 0, 1 << 18, {});
  EXPECT_FALSE(net.run(
      [&] {
        flow.step();
        return flow.server.received > 0;
      },
      std::chrono::minutes(5)));
}

}  // namespace
}  // namespace tideline::tcp::test
