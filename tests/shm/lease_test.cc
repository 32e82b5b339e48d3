// SPDX-License-Identifier: Apache-2.0
#include "port/shm/lease.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <optional>
#include <string>

#include "common/process.h"
#include "common/test_directory.h"

namespace tideline::port::shm {
namespace {

class LeaseTest : public testing::Test {
 protected:
  LeaseTest() : point_(*MeetingPoint::open(directory_.path())) {}

  bench::TestDirectory directory_;
  MeetingPoint point_;
};

// A child that claims a slot, tells so, and stays. `forks`: it has a child of its own that keeps
// (or closes) the lock, and whose pid is told.
struct Claimant {
  bench::Child process;
  std::array<pid_t, 2> told;  // slot, grandchild
};

Claimant start_claimant(const MeetingPoint& point, bool forks, bool grandchild_closes) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe(ends.data()), 0);
  Claimant claimant{bench::Child::run([&] {
                      std::optional<Lease> lease = *Lease::claim(point, 4);
                      pid_t grandchild = 0;
                      if (forks) grandchild = ::fork();
                      if (forks && grandchild == 0) {
                        if (grandchild_closes) lease.reset();
                        ::close(ends[1]);
                        ::pause();
                      }
                      const std::array<pid_t, 2> told = {static_cast<pid_t>(lease->slot()),
                                                         grandchild};
                      if (::write(ends[1], told.data(), sizeof(told)) < 0) return 1;
                      ::pause();
                      return 0;
                    }),
                    {}};
  ::close(ends[1]);
  EXPECT_EQ(::read(ends[0], claimant.told.data(), sizeof(claimant.told)),
            static_cast<ssize_t>(sizeof(claimant.told)));
  ::close(ends[0]);
  return claimant;
}

TEST_F(LeaseTest, SlotsAreGivenOnceAndComeBack) {
  std::optional<Lease> first = *Lease::claim(point_, 2);
  std::optional<Lease> second = *Lease::claim(point_, 2);
  EXPECT_EQ(first->slot(), 0U);
  EXPECT_EQ(second->slot(), 1U);
  EXPECT_FALSE(Lease::claim(point_, 2).has_value());
  first.reset();
  const auto third = Lease::claim(point_, 2);
  ASSERT_TRUE(third.has_value());
  EXPECT_EQ(third->slot(), 0U);
  EXPECT_EQ(third->incarnation(), 2U);
  EXPECT_EQ(point_.owner(0)->incarnation, 2U);
}

TEST_F(LeaseTest, TheWantedSlotOrTheHighest) {
  const auto wanted = Lease::claim(point_, 4, {.wanted = 2});
  ASSERT_TRUE(wanted.has_value());
  EXPECT_EQ(wanted->slot(), 2U);
  const auto taken = Lease::claim(point_, 4, {.wanted = 2});
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->slot(), 0U);
  const auto outside = Lease::claim(point_, 4, {.wanted = 4, .highest_first = true});
  ASSERT_TRUE(outside.has_value());
  EXPECT_EQ(outside->slot(), 3U);
}

TEST(MeetingPoint, ADirectoryThatOthersMayWriteInIsRefused) {
  const bench::TestDirectory directory;
  const std::string inner = directory.path() + "/segment";
  EXPECT_TRUE(MeetingPoint::open(inner).has_value());
  ASSERT_EQ(::chmod(inner.c_str(), 0777), 0);
  const auto refused = MeetingPoint::open(inner);
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message().find("others may write"), std::string::npos);
  // A link, though it leads to a directory of ours.
  ASSERT_EQ(::symlink(directory.path().c_str(), (directory.path() + "/link").c_str()), 0);
  EXPECT_FALSE(MeetingPoint::open(directory.path() + "/link").has_value());
  if (::geteuid() == 0) {
    ASSERT_EQ(::chmod(inner.c_str(), 0700), 0);
    ASSERT_EQ(::chown(inner.c_str(), 65534, 65534), 0);
    EXPECT_FALSE(MeetingPoint::open(inner).has_value());
  }
}

TEST(MeetingPoint, TheDirectoryOfASegmentLiesInTheFirstPlaceOfOurs) {
  const bench::TestDirectory directory;
  ASSERT_EQ(::setenv("XDG_RUNTIME_DIR", directory.path().c_str(), 1), 0);
  EXPECT_EQ(segment_directory("a-1"), directory.path() + "/tideline/a-1");
  ASSERT_EQ(::setenv("XDG_RUNTIME_DIR", "/nonexistent", 1), 0);
  const auto elsewhere = segment_directory("a-1");
  ASSERT_TRUE(elsewhere.has_value());
  EXPECT_TRUE(elsewhere->starts_with("/run/tideline/") || elsewhere->starts_with("/tmp/tideline-"));
  for (const char* bad : {"", ".", "..", "a/b", "a b", ".hidden"}) {
    EXPECT_FALSE(segment_directory(bad).has_value()) << bad;
  }
  ::unsetenv("XDG_RUNTIME_DIR");
}

TEST(MeetingPoint, SocketsAreFoundByTheirNames) {
  const bench::TestDirectory directory;
  const auto point = MeetingPoint::open(directory.path());
  ASSERT_TRUE(point.has_value());
  EXPECT_EQ(point->sockets(), 0U);
  for (const char* name :
       {"0.sock", "63.sock", "64.sock", "x.sock", "5.lock", "-1.sock", "1.sock.new"}) {
    std::ofstream(directory.path() + "/" + name) << "";
  }
  EXPECT_EQ(point->sockets(), std::uint64_t{1} << 63 | 1);
  EXPECT_EQ(point->sockets(), std::uint64_t{1} << 63 | 1);
}

TEST_F(LeaseTest, AKilledOwnersSlotIsFree) {
  Claimant claimant = start_claimant(point_, false, false);
  EXPECT_EQ(claimant.told[0], 0);
  EXPECT_EQ(Lease::claim(point_, 4)->slot(), 1U);
  claimant.process.signal(SIGKILL);
  claimant.process.wait();
  EXPECT_EQ(Lease::claim(point_, 4)->slot(), 0U);
}

TEST_F(LeaseTest, AStoppedOwnerKeepsItsSlot) {
  Claimant claimant = start_claimant(point_, false, false);
  claimant.process.signal(SIGSTOP);
  EXPECT_EQ(Lease::claim(point_, 4)->slot(), 1U);
}

TEST_F(LeaseTest, AForkedChildThatClosedItsCopyHoldsNothing) {
  Claimant claimant = start_claimant(point_, true, true);
  claimant.process.signal(SIGKILL);
  claimant.process.wait();
  EXPECT_EQ(Lease::claim(point_, 4)->slot(), 0U);
  ::kill(claimant.told[1], SIGKILL);
}

// A child made by a bare fork, without handlers, keeps the lock alive: the owner's end frees the
// slot nevertheless, and the lock that the child keeps means nothing any more.
TEST_F(LeaseTest, AForkedChildThatKeptItsCopyKeepsTheLockButNotTheLease) {
  Claimant claimant = start_claimant(point_, true, false);
  claimant.process.signal(SIGKILL);
  claimant.process.wait();
  std::optional<Lease> next = *Lease::claim(point_, 4);
  EXPECT_EQ(next->slot(), 0U);
  EXPECT_EQ(next->incarnation(), 2U);
  EXPECT_EQ(Lease::claim(point_, 4)->slot(), 1U);
  next.reset();
  EXPECT_EQ(Lease::claim(point_, 4)->slot(), 0U);
  ::kill(claimant.told[1], SIGKILL);
}

TEST_F(LeaseTest, ReleaseFreesWhatAForkedChildHolds) {
  std::optional<Lease> lease = *Lease::claim(point_, 4);
  const bench::Child child = bench::Child::run([] {
    ::pause();
    return 0;
  });
  lease->release();
  EXPECT_EQ(Lease::claim(point_, 4)->slot(), 0U);
}

TEST_F(LeaseTest, WhetherAnOwnerIsGone) {
  const std::optional<Lease> lease = *Lease::claim(point_, 4);
  const LeaseRecord self = *point_.owner(0);
  EXPECT_EQ(self.pid, static_cast<std::uint64_t>(::getpid()));
  EXPECT_FALSE(owner_is_gone(self));
  LeaseRecord reused = self;  // the same pid, another process
  ++reused.start_time;
  EXPECT_TRUE(owner_is_gone(reused));
  reused.pid_namespace = self.pid_namespace + 1;
  EXPECT_FALSE(owner_is_gone(reused));

  // Dead, but not reaped: it can do nothing any more.
  const bench::Child zombie = bench::Child::run([] { return 0; });
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(zombie.pid()), &info, WEXITED | WNOWAIT), 0);
  LeaseRecord dead = self;
  dead.pid = static_cast<std::uint64_t>(zombie.pid());
  EXPECT_TRUE(owner_is_gone(dead));
}

}  // namespace
}  // namespace tideline::port::shm
