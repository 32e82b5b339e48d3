// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "common/latency.h"
#include "common/process.h"

namespace bench {
namespace {

TEST(LatencySamples, QuantilesAreExact) {
  LatencySamples samples(100);
  for (std::uint64_t i = 100; i >= 1; --i) samples.add_ticks(i);
  const double tick_ns = 1e9 / tideline::tsc_hz();
  EXPECT_DOUBLE_EQ(samples.quantile_ns(0.5), 50 * tick_ns);
  EXPECT_DOUBLE_EQ(samples.quantile_ns(0.99), 99 * tick_ns);
  EXPECT_DOUBLE_EQ(samples.quantile_ns(1.0), 100 * tick_ns);
}

TEST(LatencySamples, AnEmptySetHasNoQuantile) {
  LatencySamples samples;
  EXPECT_EQ(samples.quantile_ns(0.5), 0);
}

TEST(Median, OfOddAndEvenCounts) {
  EXPECT_EQ(median({3, 1, 2}), 2);
  EXPECT_EQ(median({4, 1, 2, 3}), 2.5);
}

TEST(Child, ReturnsTheStatusOfItsBody) {
  Child child = Child::run([] { return 7; });
  const int status = child.wait();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST(Child, IsKilledWhenItsOwnerLeaves) {
  pid_t pid = -1;
  {
    const Child child = Child::run([] {
      ::pause();
      return 0;
    });
    pid = child.pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_NE(::kill(pid, 0), 0);
}

}  // namespace
}  // namespace bench
