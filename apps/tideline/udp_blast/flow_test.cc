// SPDX-License-Identifier: Apache-2.0
// The arithmetic of reports, against a naive count.
#include "udp_blast/flow.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <vector>

#include "base/random.h"

namespace tideline::app::blast {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kSize = 100;

Flow flow_of(const std::vector<std::uint64_t>& sequences) {
  Flow flow;
  Instant now{1s};
  for (const std::uint64_t sequence : sequences) {
    flow.numbered(sequence, kSize, now, now);
    now += 1us;
  }
  return flow;
}

TEST(Flow, InOrderNothingIsMissing) {
  const Report report = flow_of({0, 1, 2, 3, 4}).report(5);
  EXPECT_EQ(report, (Report{.datagrams = 5, .bytes = 5 * kSize, .elapsed_ns = 4000}));
}

TEST(Flow, WhatIsMissingIsLostAlsoAtBothEnds) {
  EXPECT_EQ(flow_of({2, 3, 6}).report(9).lost, 6U);
  EXPECT_EQ(Flow().report(7).lost, 7U);
  EXPECT_EQ(flow_of({0, 1}).report().lost, 0U);
  EXPECT_EQ(flow_of({0, 4}).report().lost, 3U);
}

TEST(Flow, WhatComesLaterIsReorderedAndNotLost) {
  const Report report = flow_of({0, 3, 1, 2, 4}).report(5);
  EXPECT_EQ(report.reordered, 2U);
  EXPECT_EQ(report.lost, 0U);
  EXPECT_EQ(report.duplicates, 0U);
}

TEST(Flow, WhatComesAgainIsADuplicateWhereverItLies) {
  const Report report = flow_of({0, 0, 1, 5, 1, 5, 3, 3}).report(6);
  EXPECT_EQ(report.duplicates, 4U);
  EXPECT_EQ(report.reordered, 1U);
  EXPECT_EQ(report.datagrams, 4U);
  EXPECT_EQ(report.bytes, 4 * kSize);
  EXPECT_EQ(report.lost, 2U);
}

TEST(Flow, BeyondTheWindowNothingIsClaimed) {
  const std::uint64_t far = Flow::kWindow;
  const Report report = flow_of({0, far + 1, 1, 2, far}).report(far + 2);
  EXPECT_EQ(report.unsorted, 1U);   // number 1 is one too far back
  EXPECT_EQ(report.reordered, 2U);  // 2 and `far` are not
  EXPECT_EQ(report.datagrams, 4U);
}

TEST(Flow, AJumpOverTheWholeWindowForgetsIt) {
  const std::uint64_t far = 5 * Flow::kWindow + 3;
  const Report report = flow_of({0, 1, 2, far, far - Flow::kWindow + 1, far - 1}).report(far + 1);
  EXPECT_EQ(report.duplicates, 0U);
  EXPECT_EQ(report.reordered, 2U);
  EXPECT_EQ(report.lost, far + 1 - 6);
}

TEST(Flow, JitterIsZeroOnAnEvenPathAndGrowsWithItsUnevenness) {
  Flow even;
  Flow uneven;
  for (int i = 0; i < 2000; ++i) {
    const Instant sent{i * 10us};
    even.numbered(static_cast<std::uint64_t>(i), kSize, sent, sent + 500us);
    uneven.numbered(static_cast<std::uint64_t>(i), kSize, sent, sent + (i % 2 == 0 ? 4us : 6us));
  }
  EXPECT_EQ(even.report().jitter_ns, 0U);
  EXPECT_NEAR(static_cast<double>(uneven.report().jitter_ns), 2000, 20);
}

TEST(Flow, StampedTogetherTheyCountOnceForJitter) {
  Flow flow;
  std::uint64_t sequence = 0;
  for (int burst = 0; burst < 500; ++burst) {
    for (int i = 0; i < 40; ++i) {
      flow.numbered(sequence++, kSize, Instant{burst * 10us},
                    Instant{burst * 10us + (burst % 2 == 0 ? 1us : 2us)});
    }
  }
  EXPECT_NEAR(static_cast<double>(flow.report().jitter_ns), 1000, 20);
}

// Sequence numbers by the time of their arrival: 3 % twice, 5 % of the copies lost, 5 % late.
std::multimap<std::uint64_t, std::uint64_t> bad_path(std::uint64_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::multimap<std::uint64_t, std::uint64_t> path;
  for (std::uint64_t i = 0; i < count; ++i) {
    for (std::uint64_t copies = rng.below(100) < 3 ? 2 : 1; copies > 0; --copies) {
      if (rng.below(100) < 5) continue;
      path.emplace(10 * i + (rng.below(20) == 0 ? rng.below(5000) : 0), i);
    }
  }
  return path;
}

TEST(Flow, AgreesWithANaiveCountOnABadPath) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    constexpr std::uint64_t kSent = 20000;
    const auto path = bad_path(kSent, seed);
    Flow flow;
    std::vector<bool> seen(kSent);
    Report naive;
    std::uint64_t highest = 0;
    for (const auto& [time, sequence] : path) {
      flow.numbered(sequence, kSize, Instant{}, Instant{});
      if (seen[sequence]) {
        ++naive.duplicates;
        continue;
      }
      seen[sequence] = true;
      ++naive.datagrams;
      if (sequence < highest) ++naive.reordered;
      highest = std::max(highest, sequence);
    }
    naive.bytes = naive.datagrams * kSize;
    naive.lost = kSent - naive.datagrams;
    EXPECT_EQ(flow.report(kSent), naive) << "seed " << seed;
  }
}

}  // namespace
}  // namespace tideline::app::blast
