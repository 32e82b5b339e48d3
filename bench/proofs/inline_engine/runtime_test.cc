// SPDX-License-Identifier: Apache-2.0
// The engine, its helper and a peer in one process.
#include "proofs/inline_engine/runtime.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "proofs/inline_engine/peer.h"
#include "proofs/inline_engine/private_table.h"

namespace proofs::inline_engine {
namespace {

constexpr int kPatienceMs = 10'000;

TEST(PlanNumbers, SitAboveTheSoftLimitWhereThereIsRoom) {
  const NumberPlan plan = plan_numbers({.rlim_cur = 1024, .rlim_max = 524'288});
  EXPECT_EQ(plan.base, 1024U);
  EXPECT_EQ(plan.soft_while, 1024 + kReservedNumbers);
  EXPECT_EQ(plan.soft_after, 1024U);
}

TEST(PlanNumbers, TakeTheTopWhereTheSoftLimitIsTheHardOne) {
  const NumberPlan plan = plan_numbers({.rlim_cur = 2048, .rlim_max = 2048});
  EXPECT_EQ(plan.base, 2048 - kReservedNumbers);
  EXPECT_EQ(plan.soft_while, 2048U);
  EXPECT_EQ(plan.soft_after, 2048 - kReservedNumbers);
}

TEST(PlanNumbers, KeepTheTableShortWhereTheLimitIsHuge) {
  const NumberPlan plan = plan_numbers({.rlim_cur = 1'048'576, .rlim_max = 1'048'576});
  EXPECT_EQ(plan.base, kHighestBase);
  EXPECT_EQ(plan.soft_after, 1'048'576U);
}

// The one program and its peer, attached.
class Attached : public testing::Test {
 protected:
  void SetUp() override {
    auto point = MeetingPoint::create();
    ASSERT_TRUE(point) << point.error().message();
    point_.emplace(std::move(*point));
    tideline::Result<std::unique_ptr<Runtime>> started;
    {
      const std::jthread program([&] {
        started = Runtime::start({.meeting_point = point_->path(), .timer_period = timer_period_});
      });
      auto member = point_->accept(kPatienceMs);
      ASSERT_TRUE(member) << member.error().message();
      member_.emplace(std::move(*member));
    }
    ASSERT_TRUE(started) << started.error().message();
    runtime_ = std::move(*started);
  }

  // Waits, asleep, for the answer to the frame that was sent last.
  Frame answer() {
    const std::uint64_t until =
        tideline::tsc_now() + tideline::tsc_ticks(std::chrono::milliseconds(kPatienceMs));
    while (tideline::tsc_now() < until) {
      if (const auto frame = member_->receive()) return *frame;
      member_->wait(kPatienceMs);  // an old ring may end it early
    }
    ADD_FAILURE() << "no answer";
    return {};
  }

  tideline::Duration timer_period_{0};
  std::optional<MeetingPoint> point_;
  std::optional<Member> member_;
  std::unique_ptr<Runtime> runtime_;
};

TEST_F(Attached, TheHelperServesAProgramThatDoesNotCall) {
  for (std::uint64_t id = 1; id <= 50; ++id) {
    ASSERT_TRUE(member_->send(id));
    const Frame frame = answer();
    EXPECT_EQ(frame.id, id);
    EXPECT_EQ(frame.server, Server::kHelper);
  }
}

TEST_F(Attached, AProgramThatPollsServesItself) {
  std::uint64_t by_program = 0;
  for (std::uint64_t id = 1; id <= 200; ++id) {
    ASSERT_TRUE(member_->send(id));
    std::optional<Frame> frame;
    while (!(frame = member_->receive())) ASSERT_EQ(runtime_->poll(), Entry::kRan);
    EXPECT_EQ(frame->id, id);
    if (frame->server == Server::kProgram) ++by_program;
  }
  // The helper may take a frame now and then when this thread is stopped for a while.
  EXPECT_GT(by_program, 100U);
}

TEST_F(Attached, TheHelperTakesOverAgainAndAgain) {
  for (std::uint64_t round = 0; round < 20; ++round) {
    ASSERT_TRUE(member_->send(round));
    std::optional<Frame> frame;
    while (!(frame = member_->receive())) runtime_->poll();
    // From here on the program is silent.
    const std::uint64_t id = 1000 + round;
    ASSERT_TRUE(member_->send(id));
    const Frame by_helper = answer();
    EXPECT_EQ(by_helper.id, id);
    EXPECT_EQ(by_helper.server, Server::kHelper);
  }
}

TEST_F(Attached, MessagesOfManyThreadsArriveOnce) {
  constexpr std::uint64_t kEach = 5000;
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  {
    std::vector<std::jthread> threads(3);
    for (std::jthread& thread : threads) {
      thread = std::jthread([this] {
        for (std::uint64_t i = 1; i <= kEach; ++i) {
          while (runtime_->submit({i}) == Entry::kFull) std::this_thread::yield();
        }
      });
    }
    while (count < 3 * kEach) {
      const Frame frame = answer();
      ++count;
      sum += frame.id;
    }
  }
  EXPECT_EQ(sum, 3 * kEach * (kEach + 1) / 2);
  EXPECT_FALSE(member_->receive());
}

TEST_F(Attached, NothingWaitsForRoomThatNobodyTellsOf) {
  // The ring to the peer is full, and more frames wait for answers than it holds.
  for (std::uint64_t id = 0; id < kRingFrames; ++id) ASSERT_EQ(runtime_->submit({id}), Entry::kRan);
  EXPECT_EQ(runtime_->submit({0}), Entry::kFull);
  for (std::uint64_t id = 0; id < 100; ++id) ASSERT_TRUE(member_->send(id));
  // The helper has looked in vain and sleeps.
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  for (std::uint64_t id = 0; id < kRingFrames; ++id) EXPECT_EQ(answer().id, id);
  for (std::uint64_t id = 0; id < 100; ++id) EXPECT_EQ(answer().id, id);
}

TEST_F(Attached, TheProgramsTableHoldsOnlyHighNumbers) {
  struct stat status{};
  int numbers = 0;
  for (const int fd : runtime_->fds().list()) {
    EXPECT_GE(fd, 200);
    EXPECT_TRUE(runtime_->fds().covers(fd));
    EXPECT_EQ(::fstat(fd, &status), 0);
    ++numbers;
  }
  EXPECT_EQ(numbers, 4);
  EXPECT_FALSE(runtime_->fds().covers(0));
  EXPECT_FALSE(runtime_->fds().covers(3));
}

TEST_F(Attached, GapsLeaveOutTheEnginesNumbers) {
  const HighFds& fds = runtime_->fds();
  std::uint64_t total = 0;
  fds.for_gaps(3, 99'999, [&](unsigned first, unsigned last) {
    for (const int fd : fds.list()) {
      EXPECT_FALSE(first <= static_cast<unsigned>(fd) && static_cast<unsigned>(fd) <= last);
    }
    total += last - first + 1;
    return 0;
  });
  EXPECT_EQ(total, 99'999U - 2 - 4);
  int gaps = 0;
  unsigned reached = 0;
  fds.for_gaps(3, ~0U, [&](unsigned /*first*/, unsigned last) {
    ++gaps;
    reached = last;
    return 0;
  });
  EXPECT_LE(gaps, 5);
  EXPECT_EQ(reached, ~0U);
}

// Raw calls, as no interposer can stop: what is lost is fetched again, and a foreign file on the
// number is never written to.
TEST_F(Attached, LostDescriptorsAreFetchedAgain) {
  std::vector<tideline::UniqueFd> foreign;
  for (int round = 0; round < 4; ++round) {
    for (const int fd : runtime_->fds().list()) {
      if (round % 2 == 0) {
        ::syscall(SYS_close, fd);
      } else {
        foreign.emplace_back(static_cast<int>(::memfd_create("foreign", MFD_CLOEXEC)));
        ASSERT_EQ(::syscall(SYS_dup3, foreign.back().get(), fd, O_CLOEXEC), fd);
      }
    }
    EXPECT_FALSE(runtime_->fds().ring(EngineFile::kPeerBell));
    // Until the program itself has rung for a peer that sleeps.
    for (Server server = Server::kHelper; server != Server::kProgram;) {
      const std::jthread program([this] {
        while (runtime_->submit({1}) == Entry::kFull) std::this_thread::yield();
      });
      server = answer().server;
    }
    ASSERT_EQ(runtime_->state(), GateState::kOpen);
  }
  struct stat status{};
  for (const tideline::UniqueFd& file : foreign) {
    ASSERT_EQ(::fstat(file.get(), &status), 0);
    EXPECT_EQ(status.st_size, 0);
  }
}

TEST_F(Attached, EvictionMakesRoomAndKeepsTheFile) {
  const tideline::UniqueFd foreign(static_cast<int>(::memfd_create("foreign", MFD_CLOEXEC)));
  const auto before = runtime_->fds().list();
  for (const int fd : before) {
    runtime_->fds().evict(fd);
    ASSERT_FALSE(runtime_->fds().covers(fd));
    // Not above the limit here, or dup2 would refuse by itself.
    ASSERT_EQ(::syscall(SYS_dup3, foreign.get(), fd, 0), fd);
  }
  EXPECT_TRUE(runtime_->fds().ring(EngineFile::kPeerBell));
  EXPECT_TRUE(runtime_->fds().ring(EngineFile::kKick));
  for (const int fd : before) ::close(fd);
}

// However it is forked: with the C library's handlers, without, and by the bare system call.
TEST_F(Attached, AForkedChildFindsTheEngineClosed) {
  const auto child_view = [this]() -> int {
    const bool closed = runtime_->poll() == Entry::kClosed &&
                        runtime_->submit({1}) == Entry::kClosed &&
                        runtime_->state() == GateState::kForked && !runtime_->fds().covers(19'999);
    return closed ? 0 : 1;
  };
  for (int kind = 0; kind < 2; ++kind) {
    const pid_t pid = kind == 0 ? ::fork() : static_cast<pid_t>(::syscall(SYS_fork));
    ASSERT_GE(pid, 0);
    if (pid == 0) ::_exit(child_view());
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "kind " << kind;
  }
  ASSERT_TRUE(member_->send(9));
  EXPECT_EQ(answer().id, 9U);
}

TEST_F(Attached, AnEngineThatLostItsPeerSaysSo) {
  member_.reset();
  while (runtime_->poll() != Entry::kClosed) std::this_thread::yield();
  EXPECT_EQ(runtime_->state(), GateState::kPeerLost);
}

TEST_F(Attached, ThePeerNoticesThatTheEngineStopped) {
  EXPECT_FALSE(member_->hung_up(0));
  runtime_.reset();
  EXPECT_TRUE(member_->hung_up(kPatienceMs));
}

class AttachedWithTimer : public Attached {
 protected:
  AttachedWithTimer() { timer_period_ = std::chrono::milliseconds(3); }
};

TEST_F(AttachedWithTimer, TheTimerFiresWhoeverServes) {
  // The first frame starts the timer, in a call of the program: the helper sleeps past the deadline
  // by then, and must be told.
  while (runtime_->control().take_overs.load() == 0) std::this_thread::yield();
  ASSERT_TRUE(member_->send(1));
  while (!member_->receive()) runtime_->poll();
  const std::uint64_t until = tideline::tsc_now() + tideline::tsc_ticks(std::chrono::seconds(5));
  while (runtime_->control().timer_fires.load() < 5 && tideline::tsc_now() < until) {
    std::this_thread::yield();
  }
  EXPECT_GE(runtime_->control().timer_fires.load(), 5U);
}

TEST(PrivateTable, IsReachedByNoOtherThreadAndPinsNothing) {
  int pipe_fds[2];
  ASSERT_EQ(::pipe2(pipe_fds, O_CLOEXEC), 0);
  std::atomic<int> stage{0};
  std::atomic<int> inner{-1};
  std::atomic<pid_t> tid{0};
  const std::jthread thread([&] {
    ASSERT_TRUE(enter_private_table());
    const tideline::UniqueFd own(static_cast<int>(::memfd_create("own", MFD_CLOEXEC)));
    inner = own.get();
    tid = static_cast<pid_t>(::syscall(SYS_gettid));
    stage = 1;
    stage.notify_all();
    stage.wait(1);
    // Everything that the other thread closed is still here.
    EXPECT_EQ(::fcntl(own.get(), F_GETFD), FD_CLOEXEC);
  });
  stage.wait(0);
  const auto fetched = fetch_from_thread(tid, inner);
  ASSERT_TRUE(fetched) << fetched.error().message();
  EXPECT_GE(::fcntl(fetched->get(), F_GET_SEALS), 0);
  // The thread's table does not hold the pipe's end, so closing it here is the end of it.
  ::close(pipe_fds[1]);
  char byte = 0;
  EXPECT_EQ(::read(pipe_fds[0], &byte, 1), 0);
  ::close(pipe_fds[0]);
  ::syscall(SYS_close_range, 100U, ~0U, 0U);
  stage = 2;
  stage.notify_all();
}

}  // namespace
}  // namespace proofs::inline_engine
