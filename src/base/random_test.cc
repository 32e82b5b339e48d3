// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <gtest/gtest.h>

#include <array>

namespace tideline {
namespace {

TEST(Rng, SameSeedSameSequence) {
  Rng a(7);
  Rng b(7);
  Rng c(8);
  EXPECT_EQ(a(), b());
  EXPECT_NE(a(), c());
}

TEST(Rng, BelowIsUniform) {
  Rng rng(1);
  std::array<int, 10> counts{};
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) ++counts[rng.below(counts.size())];
  for (const int count : counts) EXPECT_NEAR(count, kDraws / 10.0, 500);
}

TEST(Rng, UnitStaysBelowOne) {
  Rng rng(2);
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double value = rng.unit();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
}

}  // namespace
}  // namespace tideline
