// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "proofs/waiting/handovers.h"
#include "proofs/waiting/scenario.h"

namespace proofs::waiting {
namespace {

TEST(Handovers, NoWakeUpIsLost) {
  const auto outcome = hand_over({.items = 200'000, .sleeps = 2'000});
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->in_order);
  EXPECT_GE(outcome->handed_over, 200'000U);
  EXPECT_GE(outcome->slept, 2'000U);
  EXPECT_EQ(outcome->lost, 0U);
}

TEST(Scenarios, EveryCombinationOnOneCoreOrTwoEndsWithAllMessages) {
  for (const Scenario& scenario : all_scenarios()) {
    // A spinner without a limit waits for whole time slices of the other; the proof itself runs
    // those.
    const auto spins_forever = [](const Rule& rule) { return rule.length == Length::kForever; };
    if (std::ranges::any_of(scenario.rules, spins_forever)) continue;
    const auto measured = run(scenario, std::chrono::milliseconds(2));
    ASSERT_TRUE(measured.has_value());
    EXPECT_TRUE(measured->complete)
        << scenario.placement << ", " << name_of(scenario.pattern) << ", " << scenario.rules_name;
  }
}

}  // namespace
}  // namespace proofs::waiting
