// SPDX-License-Identifier: Apache-2.0
// The proof's hazards in short form, and what the stream measures: that it is all true.
#include <gtest/gtest.h>
#include <unistd.h>

#include "proofs/placement/hazards.h"
#include "proofs/placement/stream.h"

namespace proofs::placement {
namespace {

void expect_holds(const Finding& finding) { EXPECT_TRUE(finding.holds) << finding.detail; }

TEST(Placement, RefusesWhatIsNotGranted) { expect_holds(check_permissions()); }
TEST(Placement, BadTargetMemoryIsAnError) { expect_holds(check_bad_target_memory()); }
TEST(Placement, BadSourceMemoryIsAnError) { expect_holds(check_bad_source_memory()); }
TEST(Placement, MemoryMayChangeUnderACopy) { expect_holds(check_memory_churn(1000, 1)); }
TEST(Placement, ADyingTargetIsAnError) { expect_holds(check_dying_target(16, 1)); }
TEST(Placement, NothingIsWrittenAfterDeregistration) { expect_holds(check_deregistration(1000)); }
TEST(Placement, WhatIsWrittenArrives) { expect_holds(check_integrity(1000, 1)); }
TEST(Placement, TheKernelDecidesWhoMayPlaceDirectly) {
  if (::geteuid() != 0) GTEST_SKIP() << "becoming other users needs root";
  expect_holds(check_kernel_permission());
}

TEST(Placement, EveryPathDeliversWholeBlocksInOrder) {
  for (const Path path : {Path::kDirect, Path::kProcessVm, Path::kFrames}) {
    for (const std::size_t window : {1U, 8U}) {
      const StreamResult result = run_stream({.path = path,
                                              .size = 4096,
                                              .window = window,
                                              .verify = true,
                                              .wait = WaitMode::kYield,
                                              .count = 500,
                                              .limit = std::chrono::milliseconds(500)});
      EXPECT_TRUE(result.good);
      EXPECT_GT(result.blocks, 0);
      EXPECT_EQ(result.stale_blocks, 0);
    }
  }
}

}  // namespace
}  // namespace proofs::placement
