// SPDX-License-Identifier: Apache-2.0
#include "ring/spin_budget.h"

#include <gtest/gtest.h>

#include "ring/waiter.h"

namespace tideline::ring {
namespace {

static_assert(SpinPolicy<AdaptiveBudget>);

constexpr AdaptiveBudget::Limits kLimits{.longest = std::chrono::microseconds(50),
                                         .first = std::chrono::microseconds(8),
                                         .first_pause = 4,
                                         .last_pause = 16};

std::uint64_t micros(int count) { return tsc_ticks(std::chrono::microseconds(count)); }

TEST(AdaptiveBudget, ShrinksToZeroWhileLooksAreInVain) {
  AdaptiveBudget budget(kLimits);
  EXPECT_EQ(budget.limit(), micros(50));
  for (int i = 0; i < 10; ++i) budget.slept(micros(1000));
  EXPECT_EQ(budget.limit(), 0U);
}

TEST(AdaptiveBudget, GrowsWhileALongerLookWouldHaveFoundTheWork) {
  AdaptiveBudget budget(kLimits);
  for (int i = 0; i < 10; ++i) budget.slept(micros(1000));
  budget.slept(micros(20));
  EXPECT_EQ(budget.limit(), micros(8));
  for (int i = 0; i < 10; ++i) budget.slept(micros(20));
  EXPECT_EQ(budget.limit(), micros(50));
}

TEST(AdaptiveBudget, PausesWhenTheCoreWasTakenAwayAndComesBack) {
  AdaptiveBudget budget(kLimits);
  EXPECT_FALSE(budget.interrupted(micros(100)));
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(budget.limit(), 0U) << i;
    budget.slept(micros(10));
  }
  EXPECT_GT(budget.limit(), 0U);
}

TEST(AdaptiveBudget, ThePauseDoublesWhileItHappensAgainAndIsForgottenInCalm) {
  AdaptiveBudget budget(kLimits);
  const auto pause = [&] {
    budget.interrupted(micros(100));
    int waits = 0;
    for (; budget.limit() == 0; ++waits) budget.slept(micros(10));
    return waits;
  };
  EXPECT_EQ(pause(), 4);
  EXPECT_EQ(pause(), 8);
  EXPECT_EQ(pause(), 16);
  EXPECT_EQ(pause(), 16);
  for (int i = 0; i < 16; ++i) budget.spun(micros(1));
  EXPECT_EQ(pause(), 4);
}

}  // namespace
}  // namespace tideline::ring
