// SPDX-License-Identifier: Apache-2.0
// DCTCP: what the receiver echoes, segment by segment; how the sender averages it; what both do to
// a queue that marks early. RFC 8257. BBR before the same queue.
#include <gtest/gtest.h>

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tcp/congestion.h"
#include "tcp/script.h"
#include "tcp/test_net.h"

namespace tideline::tcp::test {
namespace {

using std::chrono::milliseconds;

// §3.6: it asks for ECN, and all that it sends is ECN-capable.
SCRIPT(Dctcp, Connect_AsksForEcn, R"(
  config dctcp
  +0 connect
  +0 > SAWE 0:0(0) ect
  +0.01 < SE. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,wscale 7>
  +0 > . 1:1(0) ack 1 ect
  +0 write 100
  +0 > P. 1:101(100) ack 1 ect
  +0.21 > P. 1:101(100) ack 1 ect
  +0.01 < . 1:1(0) ack 101
)")

SCRIPT(Dctcp, RcvSyn_Listen_IsAnsweredAsAsked, R"(
  config dctcp
  +0 listen
  +0 < SEW 0:0(0) win 65535 <mss 1460,sackOK,wscale 7>
  +0 > SE. 0:0(0) ack 1 ect
  +0.01 < . 1:1(0) ack 1
  +0 write 100
  +0 > P. 1:101(100) ack 1 ect
  +0.01 < . 1:1(0) ack 101
)")

SCRIPT(Dctcp, WithoutEcn_IsReno, R"(
  config dctcp
  +0 connect
  +0 > SAWE 0:0(0) ect
  +0.01 < S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,wscale 7>
  +0 > . 1:1(0) ack 1
  +0 write 1460
  +0 > P. 1:1461(1460) ack 1
  +0.01 < E. 1:1(0) ack 1461 ce
  info cwnd 10
  info recovery 0
)")

// A connection that delays its acknowledgments: the quick ones of the beginning are used up, with
// one byte each; our next is 1, theirs 17.
void run_delayed(std::string_view script, int line) {
  std::string text = R"(
    config dctcp
    +0 listen
    +0 < SEW 0:0(0) win 65535 <mss 1460,sackOK,wscale 7>
    +0 > SE. 0:0(0) ack 1 ect
    +0.01 < . 1:1(0) ack 1
)";
  for (int i = 1; i <= 16; ++i) {
    text += fmt::format("+0 < . {}:{}(1) ack 1\n+0 > . 1:1(0) ack {} ect\n", i, i + 1, i + 1);
  }
  text += script;
  run_script(text, line);
}

// §3.2, figure 1: what is acknowledged together was marked, or not, as a whole.
TEST(Dctcp, RcvMark_Delayed_AcknowledgesWhatCameBeforeThenTheMark) {
  run_delayed(R"(
    +0 < . 17:1017(1000) ack 1
    +0 > nothing
    +0 < . 1017:2017(1000) ack 1 ce
    +0 > . 1:1(0) ack 1017 ect
    +0 > E. 1:1(0) ack 2017 ect
    +0 < . 2017:3017(1000) ack 1 ce
    +0 > nothing
    +0 < . 3017:4017(1000) ack 1
    +0 > E. 1:1(0) ack 3017 ect
    +0 > . 1:1(0) ack 4017 ect
)",
              __LINE__);
}

TEST(Dctcp, RcvMark_NothingDelayed_IsToldAtOnce) {
  run_delayed(R"(
    +0 < . 17:1017(1000) ack 1 ce
    +0 > E. 1:1(0) ack 1017 ect
    +0 < . 1017:2017(1000) ack 1
    +0 > . 1:1(0) ack 2017 ect
)",
              __LINE__);
}

TEST(Dctcp, RcvMarks_Delayed_EverySecondIsAcknowledged) {
  run_delayed(R"(
    +0 < . 17:1017(1000) ack 1 ce
    +0 > E. 1:1(0) ack 1017 ect
    +0 < . 1017:2017(1000) ack 1 ce
    +0 > nothing
    +0 < . 2017:3017(1000) ack 1 ce
    +0 > E. 1:1(0) ack 3017 ect
    +0 < . 3017:4017(1000) ack 1 ce
    +0.04 > E. 1:1(0) ack 4017 ect
)",
              __LINE__);
}

// The echo is that of the data, whatever CWR says of the sender.
TEST(Dctcp, RcvCwr_WithAMark_IsEchoed) {
  run_delayed(R"(
    +0 < . 17:1017(1000) ack 1 ce
    +0 > E. 1:1(0) ack 1017 ect
    +0 < W. 1017:2017(1000) ack 1 ce
    +0.04 > E. 1:1(0) ack 2017 ect
    +0 < . 2017:2017(0) ack 1 ce
    +0 > nothing
)",
              __LINE__);
}

// §3.3: alpha begins at 1, so that the first mark halves; §3.5: a loss halves, also after a mark.
SCRIPT(Dctcp, RcvEce_Established_IsReactedToOncePerWindow, R"(
  config dctcp
  +0 connect
  +0 > SAWE 0:0(0) ect
  +0.01 < SE. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,wscale 7>
  +0 > . 1:1(0) ack 1 ect
  info cwnd 10
  +0 write 5840
  +0 > . 1:1461(1460) ack 1 ect
  +0 > . 1461:2921(1460) ack 1 ect
  +0 > . 2921:4381(1460) ack 1 ect
  +0 > P. 4381:5841(1460) ack 1 ect
  +0.01 < E. 1:1(0) ack 1461
  info ssthresh 5
  info recovery 2
  +0 < E. 1:1(0) ack 2921
  info ssthresh 5
  +0 < . 1:1(0) ack 5841
  info recovery 0
  +0 write 100
  +0 > WP. 5841:5941(100) ack 1 ect
  +0.01 < . 1:1(0) ack 5941
)")

SCRIPT(Dctcp, RcvSack_Cwr_ALossIsReactedToBesideTheMark, R"(
  config dctcp
  +0 connect
  +0 > SAWE 0:0(0) ect
  +0.01 < SE. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,wscale 7>
  +0 > . 1:1(0) ack 1 ect
  +0 write 14600
  +0 > . 1:1461(1460) ack 1 ect
  +0 > . 1461:2921(1460) ack 1 ect
  +0 > . 2921:4381(1460) ack 1 ect
  +0 > . 4381:5841(1460) ack 1 ect
  +0 > . 5841:7301(1460) ack 1 ect
  +0 > . 7301:8761(1460) ack 1 ect
  +0 > . 8761:10221(1460) ack 1 ect
  +0 > . 10221:11681(1460) ack 1 ect
  +0 > . 11681:13141(1460) ack 1 ect
  +0 > P. 13141:14601(1460) ack 1 ect
  +0.01 < E. 1:1(0) ack 1461
  info recovery 2
  info ssthresh 5
  +0 < E. 1:1(0) ack 1461 <sack 2921:7301>
  +0 > . 1461:2921(1460) ack 1 ect
  info recovery 3
  info ssthresh 4
  +0.01 < . 1:1(0) ack 14601
)")

constexpr std::uint32_t kMss = 1000;

struct Sender {
  Sender() {
    control.start(state);
    state.cwnd = 10 * kMss;
  }
  // A window of `size` bytes is acknowledged, `marked` of them with ECE.
  void window(std::uint32_t size, std::uint32_t marked) {
    const Seq end = una + size;
    acknowledge(marked, true, end);
    acknowledge(size - marked, false, end);
  }
  void acknowledge(std::uint32_t acked, bool marked, Seq nxt) {
    una += acked;
    control.echoed(state, {.acked = acked, .marked = marked ? acked : 0, .una = una, .nxt = nxt});
  }
  double alpha() const { return std::get_if<DctcpState>(&state.algorithm)->alpha; }

  const CongestionControl& control = congestion_control(CongestionAlgorithm::kDctcp);
  CongestionState state;
  Seq una{0xffffff00};  // wraps
};

// §3.3, steps 5 and 6, with g = 1/16.
TEST(Dctcp, AlphaIsTheAverageShareOfMarkedBytes) {
  Sender sender;
  EXPECT_EQ(sender.alpha(), 1);
  // The first acknowledgment ends the window of nothing that was before it.
  sender.acknowledge(1000, false, sender.una + 10'000);
  double alpha = 15.0 / 16;
  EXPECT_DOUBLE_EQ(sender.alpha(), alpha);
  sender.acknowledge(3000, true, sender.una + 20'000);
  sender.acknowledge(6000, false, sender.una + 20'000);
  EXPECT_DOUBLE_EQ(sender.alpha(), alpha) << "the window is not over";
  sender.acknowledge(1000, false, sender.una + 20'000);
  alpha = alpha * 15 / 16 + 0.3 / 16;
  EXPECT_DOUBLE_EQ(sender.alpha(), alpha);
  for (int i = 0; i < 200; ++i) sender.window(10'000, 0);
  EXPECT_LT(sender.alpha(), 1e-4);
  for (int i = 0; i < 200; ++i) sender.window(10'000, 10'000);
  EXPECT_NEAR(sender.alpha(), 1, 1e-4);
}

TEST(Dctcp, AMarkTakesHalfOfAlphaALossHalf) {
  Sender sender;
  sender.state.cwnd = 100 * kMss;
  EXPECT_EQ(sender.control.marked(sender.state, 0, kMss), 50 * kMss);
  for (int i = 0; i < 500; ++i) sender.window(10'000, 2'500);
  EXPECT_NEAR(sender.control.marked(sender.state, 0, kMss), 87'500, 500);
  EXPECT_EQ(sender.control.reduce(sender.state, 100 * kMss, kMss), 50 * kMss);
  sender.state.cwnd = 2 * kMss;
  EXPECT_EQ(sender.control.marked(sender.state, 0, kMss), 2 * kMss);
}

struct Figures {
  double mean_ms = 0;
  double p99_ms = 0;
  double used = 0;  // share of the link
  double jain = 0;
};

// Flows of one algorithm through a queue of 400 packets that marks above 20: 100 Mb/s, 1 ms.
Figures through_shallow_marks(CongestionAlgorithm algorithm, bool ecn = false) {
  SimNet net({.delay = milliseconds(1),
              .rate = 100'000'000,
              .queue = std::size_t{400} * 1514,
              .mark_threshold = std::size_t{20} * 1514},
             11, {.ecn = ecn});
  std::vector<std::unique_ptr<SimFlow>> flows;
  flows.reserve(4);
  for (std::uint16_t i = 0; i < 4; ++i) {
    flows.push_back(std::make_unique<SimFlow>(net, true, static_cast<std::uint16_t>(kPort + i),
                                              i + 1, 1'000'000'000, 0, 1 << 19,
                                              StreamOptions{.congestion = algorithm}));
  }
  const auto run = [&](Duration time) {
    net.run(
        [&] {
          for (auto& flow : flows) flow->step();
          return false;
        },
        time);
  };
  run(milliseconds(500));  // how they begin is not the question
  std::vector<std::uint64_t> before;
  before.reserve(flows.size());
  for (auto& flow : flows) before.push_back(flow->server.received);
  std::vector<double> waits;
  net.watch = [&](const Queued& queued) {
    if (queued.from == 0) waits.push_back(static_cast<double>(queued.waiting.count()) / 1e6);
  };
  run(milliseconds(1500));
  Figures figures;
  double sum = 0;
  double squares = 0;
  for (std::size_t i = 0; i < flows.size(); ++i) {
    const auto share = static_cast<double>(flows[i]->server.received - before[i]);
    sum += share;
    squares += share * share;
  }
  figures.used = sum * 8 / 1.5 / 100e6;
  figures.jain = sum * sum / (4 * squares);
  std::ranges::sort(waits);
  for (const double wait : waits) figures.mean_ms += wait / static_cast<double>(waits.size());
  figures.p99_ms = waits[waits.size() * 99 / 100];
  return figures;
}

// 20 packets are 2.4 ms, 400 are 48 ms.
TEST(Dctcp, KeepsAMarkingQueueShort) {
  const Figures dctcp = through_shallow_marks(CongestionAlgorithm::kDctcp);
  const Figures cubic = through_shallow_marks(CongestionAlgorithm::kCubic);
  RecordProperty("dctcp_mean_ms", fmt::format("{:.2f}", dctcp.mean_ms));
  RecordProperty("cubic_mean_ms", fmt::format("{:.2f}", cubic.mean_ms));
  EXPECT_LT(dctcp.mean_ms, 4);
  EXPECT_LT(dctcp.p99_ms, 6);
  EXPECT_GT(dctcp.used, 0.9);
  EXPECT_GT(dctcp.jain, 0.9);
  EXPECT_GT(cubic.mean_ms, 4 * dctcp.mean_ms) << "CUBIC does not ask for ECN";
}

// Its response to marks is its own (bbr.h): were there none, four flows would keep 80 packets here.
TEST(Bbr, KeepsAMarkingQueueShort) {
  const Figures figures = through_shallow_marks(CongestionAlgorithm::kBbr, true);
  EXPECT_LT(figures.mean_ms, 4);
  EXPECT_GT(figures.used, 0.9);
  EXPECT_GT(figures.jain, 0.9);
}

}  // namespace
}  // namespace tideline::tcp::test
