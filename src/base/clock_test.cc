// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <gtest/gtest.h>

namespace tideline {
namespace {

TEST(Clock, MonotonicNeverGoesBack) {
  Instant last = monotonic_now();
  for (int i = 0; i < 10'000; ++i) {
    const Instant now = monotonic_now();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(Clock, TicksAndTimeConvertBothWays) {
  EXPECT_GT(tsc_hz(), 1e8);
  const Duration second = std::chrono::seconds(1);
  const Duration back = tsc_duration(tsc_ticks(second));
  EXPECT_NEAR(static_cast<double>(back.count()), 1e9, 100.0);
}

}  // namespace
}  // namespace tideline
