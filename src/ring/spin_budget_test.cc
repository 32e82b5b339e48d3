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

// Looks until the core has been offered once.
void look_past_the_first_offer(SpinBudget& budget) {
  for (int look = 0; look <= 20; ++look) budget.relax();
}

TEST(SpinBudget, ALongOfferIsNotRepeatedForAHundredTimesItsLength) {
  SpinBudget budget(kLimits);
  const std::uint64_t slice = tsc_ticks(std::chrono::milliseconds(4));
  const std::uint64_t now = 1'000'000;
  budget.limit(now);
  EXPECT_TRUE(budget.offers());
  look_past_the_first_offer(budget);
  EXPECT_FALSE(budget.interrupted(now, slice));
  budget.limit(now + 100 * slice - 1);
  EXPECT_FALSE(budget.offers());
  budget.limit(now + 100 * slice);
  EXPECT_TRUE(budget.offers());
}

TEST(SpinBudget, ALongAbsenceBeforeTheFirstOfferEndsTheLookOnly) {
  SpinBudget budget(kLimits);
  budget.limit(1000);
  EXPECT_FALSE(budget.interrupted(1000, tsc_ticks(std::chrono::milliseconds(4))));
  budget.limit(1001);
  EXPECT_TRUE(budget.offers());
}

TEST(SpinBudget, AShortOfferIsRepeated) {
  SpinBudget budget(kLimits);
  budget.limit(1000);
  look_past_the_first_offer(budget);
  EXPECT_TRUE(budget.interrupted(1000, tsc_ticks(std::chrono::microseconds(30))));
  EXPECT_TRUE(budget.offers());
}

}  // namespace
}  // namespace tideline::ring
