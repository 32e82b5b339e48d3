// SPDX-License-Identifier: Apache-2.0
#include "proofs/segment/exchange.h"

#include <gtest/gtest.h>

namespace proofs::segment {
namespace {

TEST(Exchange, FramesArriveWholeOnNormalPages) {
  MemberConfig config;
  config.arena_pages = ArenaPages::kNormal;
  const Exchange result = exchange(config, 20);
  EXPECT_TRUE(result.intact);
  EXPECT_FALSE(result.said_huge);
  EXPECT_FALSE(result.mapped_huge);
}

// The kernel may have no 2 MiB pages at this moment; then normal ones serve, and the member says
// so.
TEST(Exchange, FramesArriveWholeOnCollapsedPages) {
  MemberConfig config;
  config.arena_pages = ArenaPages::kCollapsed;
  const Exchange result = exchange(config, 20);
  EXPECT_TRUE(result.intact);
  EXPECT_EQ(result.said_huge, result.mapped_huge);
}

}  // namespace
}  // namespace proofs::segment
