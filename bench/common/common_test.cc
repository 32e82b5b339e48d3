// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

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

// An ignored SIGCHLD is inherited over exec.
TEST(Child, ItsStatusIsKnownWhereTheParentWasStartedWithSigchldIgnored) {
  for (const bool by_polling : {false, true}) {
    Child parent = Child::run([by_polling] {
      ::signal(SIGCHLD, SIG_IGN);
      Child child = Child::run([] { return 9; });
      std::optional<int> status;
      if (by_polling) {
        while (!(status = child.poll())) ::sched_yield();
      } else {
        status = child.wait();
      }
      return WIFEXITED(*status) ? WEXITSTATUS(*status) : 1;
    });
    const int status = parent.wait();
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 9) << status;
  }
}

TEST(ChildDeathTest, ReapedBySomebodyElseIsABug) {
  const auto reap_twice = [] {
    Child child = Child::run([] { return 0; });
    ::waitpid(child.pid(), nullptr, 0);
    child.wait();
  };
  EXPECT_DEATH(reap_twice(), "waitpid");
}

cpu_set_t cores_now() {
  cpu_set_t set;
  EXPECT_EQ(::sched_getaffinity(0, sizeof(set), &set), 0);
  return set;
}

// As after `taskset -c NUMBER PROGRAM`: it is told of one core, binds to that one and gets no
// other.
TEST(Pinning, KeepsToTheCoresThatTheProcessWasGiven) {
  const cpu_set_t all = cores_now();
  for (int number = 0; number < CPU_SETSIZE; ++number) {
    if (!CPU_ISSET(number, &all)) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(number, &one);
    // This program does not pin, so the child has not read its cores yet.
    Child child = Child::run([&one] {
      EXPECT_EQ(::sched_setaffinity(0, sizeof(one), &one), 0);
      EXPECT_EQ(usable_cores(), 1);
      pin_to_core(0);
      const cpu_set_t pinned = cores_now();
      EXPECT_TRUE(CPU_EQUAL(&pinned, &one));
      unpin();
      const cpu_set_t unpinned = cores_now();
      EXPECT_TRUE(CPU_EQUAL(&unpinned, &one));
      return testing::Test::HasFailure() ? 1 : 0;
    });
    EXPECT_TRUE(child.succeeded()) << "core " << number;
  }
}

TEST(Pinning, EachGivenCoreCanBeHadAndAllOfThemAgain) {
  const cpu_set_t all = cores_now();
  // In a child, so that this process has still not read its cores when another test runs.
  Child child = Child::run([&all] {
    EXPECT_EQ(usable_cores(), CPU_COUNT(&all));
    cpu_set_t seen;
    CPU_ZERO(&seen);
    for (int core = 0; core < usable_cores(); ++core) {
      pin_to_core(core);
      EXPECT_EQ(usable_cores(), CPU_COUNT(&all));
      const cpu_set_t pinned = cores_now();
      EXPECT_EQ(CPU_COUNT(&pinned), 1);
      CPU_OR(&seen, &seen, &pinned);
    }
    EXPECT_TRUE(CPU_EQUAL(&seen, &all));
    unpin();
    const cpu_set_t unpinned = cores_now();
    EXPECT_TRUE(CPU_EQUAL(&unpinned, &all));
    return testing::Test::HasFailure() ? 1 : 0;
  });
  EXPECT_TRUE(child.succeeded());
}

}  // namespace
}  // namespace bench
