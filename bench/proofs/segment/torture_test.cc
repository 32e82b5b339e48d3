// SPDX-License-Identifier: Apache-2.0
// The short form of proof_segment_torture.
#include "proofs/segment/torture.h"

#include <gtest/gtest.h>

namespace proofs::segment {
namespace {

TEST(Torture, OthersGoOnAndNothingLeaks) {
  bench::Report report("torture", "short form");
  torture(report, {.random_kills = 60, .steps = 60, .joins = 10, .hostile_rounds = 1}, 1);
  EXPECT_EQ(report.finish(""), 0);
}

}  // namespace
}  // namespace proofs::segment
