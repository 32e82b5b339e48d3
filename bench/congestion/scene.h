// SPDX-License-Identifier: Apache-2.0
// Bulk flows through one bottleneck, in virtual time: what each gets, how long the queue is, what
// it drops and marks. The same seed gives the same figures on any machine. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tcp/test_net.h"

namespace tideline::bench_congestion {

struct Algorithm {
  tcp::CongestionAlgorithm value;
  const char* name;
};
inline constexpr Algorithm kCubic{tcp::CongestionAlgorithm::kCubic, "cubic"};
inline constexpr Algorithm kReno{tcp::CongestionAlgorithm::kReno, "reno"};
inline constexpr Algorithm kBbr{tcp::CongestionAlgorithm::kBbr, "bbr"};
inline constexpr Algorithm kDctcp{tcp::CongestionAlgorithm::kDctcp, "dctcp"};

inline constexpr std::size_t kFrame = 1514;
// Of a full frame, with timestamps.
inline constexpr double kPayload = 1448.0 / kFrame;

struct FlowPlan {
  Algorithm algorithm;
  Duration start{};
  bool paced = false;  // BBR is in any case
};

struct Scene {
  tcp::test::LinkOptions link;
  std::vector<FlowPlan> flows;
  bool ecn = false;  // asked for by all
  Duration warm{};   // before what is measured
  Duration measured{};
  Duration step{};  // of the series; 0: none
  std::uint64_t seed = 1;
};

// What happened in a step of the series.
struct Step {
  double at_s = 0;
  std::vector<double> mbps;  // of each flow
  double queue_ms = 0;       // the longest
};

// Of the measured time.
struct Outcome {
  std::vector<double> mbps;  // of payload, of each flow
  double used = 0;           // of what the link carries in payload
  double jain = 0;           // 1: equal shares
  double queue_mean_ms = 0;
  double queue_p99_ms = 0;
  double lost = 0;    // of the frames that came to the queue
  double marked = 0;  //
  std::vector<Step> series;
};

Outcome play(const Scene& scene);

// Of a link and a round trip: what is in flight when both are full.
inline double bdp_frames(const tcp::test::LinkOptions& link) {
  return static_cast<double>(link.rate) * 2 * static_cast<double>(link.delay.count()) / 8e9 /
         kFrame;
}

}  // namespace tideline::bench_congestion
