// SPDX-License-Identifier: Apache-2.0
#include "ring/spin_budget.h"

#include <gtest/gtest.h>

#include "ring/waiter.h"

namespace tideline::ring {
namespace {

static_assert(SpinPolicy<SpinBudget>);

constexpr SpinBudget::Limits kLimits{.longest = std::chrono::microseconds(50),
                                     .looks_before_yield = 20,
                                     .most_skipped = 4,
                                     .long_offer = std::chrono::microseconds(200),
                                     .long_offer_factor = 100};

// Waits that sleep at once, until one looks for work again.
int skipped(SpinBudget& budget) {
  int waits = 0;
  for (; budget.limit(0) == 0; ++waits) budget.slept();
  return waits;
}

TEST(SpinBudget, LooksAtFirst) {
  SpinBudget budget(kLimits);
  EXPECT_EQ(budget.limit(0), tsc_ticks(std::chrono::microseconds(50)));
}

TEST(SpinBudget, BacksOffFurtherWithEveryLookInVain) {
  SpinBudget budget(kLimits);
  for (const int expected : {1, 2, 4, 4}) {
    ASSERT_GT(budget.limit(0), 0U);
    budget.slept();
    EXPECT_EQ(skipped(budget), expected);
  }
}

TEST(SpinBudget, SuccessHalvesTheBackOff) {
  SpinBudget budget(kLimits);
  for (int i = 0; i < 3; ++i) {
    budget.slept();
    skipped(budget);
  }
  budget.spun();
  budget.slept();
  EXPECT_EQ(skipped(budget), 2);
  for (int i = 0; i < 10; ++i) budget.spun();
  budget.slept();
  EXPECT_EQ(skipped(budget), 1);
}

TEST(SpinBudget, AShortAbsenceIsAPeerAtWork) {
  SpinBudget budget(kLimits);
  budget.limit(1000);
  EXPECT_TRUE(budget.interrupted(1000, tsc_ticks(std::chrono::microseconds(30))));
}

TEST(SpinBudget, ALongAbsenceEndsTheLook) {
  SpinBudget budget(kLimits);
  budget.limit(1000);
  EXPECT_FALSE(budget.interrupted(1000, tsc_ticks(std::chrono::milliseconds(4))));
}

}  // namespace
}  // namespace tideline::ring
