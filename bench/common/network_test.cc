// SPDX-License-Identifier: Apache-2.0
#include "common/network.h"

#include <gtest/gtest.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>

#include "base/fd.h"
#include "common/process.h"

namespace bench {
namespace {

using tideline::UniqueFd;

class Contained : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "namespaces need root";
  }
  // In a child, for it works once per process.
  static int run(const std::function<int()>& body) {
    Child caller = Child::run([&body] { return run_contained(body).value_or(99); });
    const int status = caller.wait();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
};

TEST_F(Contained, ReturnsTheStatusOfItsBody) {
  EXPECT_EQ(run([] { return 0; }), 0);
  EXPECT_EQ(run([] { return 7; }), 7);
  EXPECT_EQ(run([] { return ::raise(SIGKILL); }), 128 + SIGKILL);
}

TEST_F(Contained, SeesOnlyItsOwnProcessesAndLoopback) {
  EXPECT_EQ(run([] {
              EXPECT_EQ(std::filesystem::read_symlink("/proc/self"), std::to_string(::getpid()));
              EXPECT_EQ(::getppid(), 1);
              struct if_nameindex* all = ::if_nameindex();
              EXPECT_EQ(std::string(all[0].if_name), "lo");
              EXPECT_EQ(all[1].if_index, 0U);
              ::if_freenameindex(all);
              return testing::Test::HasFailure() ? 1 : 0;
            }),
            0);
  EXPECT_EQ(std::filesystem::read_symlink("/proc/self"), std::to_string(::getpid()));
}

TEST_F(Contained, OrphansAreReaped) {
  EXPECT_EQ(run([] {
              std::array<int, 2> pipe{};
              if (::pipe(pipe.data()) != 0) return 1;
              Child parent = Child::run([&pipe] {
                const pid_t orphan = ::fork();
                if (orphan == 0) ::_exit(0);
                return ::write(pipe[1], &orphan, sizeof(orphan)) == sizeof(orphan) ? 0 : 1;
              });
              pid_t orphan = 0;
              if (::read(pipe[0], &orphan, sizeof(orphan)) != sizeof(orphan)) return 1;
              if (!parent.succeeded()) return 1;
              while (::kill(orphan, 0) == 0) ::sched_yield();
              return 0;
            }),
            0);
}

// A daemon in a session of its own, with a descendant, holds a pipe open for as long as it lives.
void expect_nobody_is_left(int signal) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  Child caller = Child::run([&] {
    return run_contained([&] {
             if (::fork() == 0) {
               ::setsid();
               ::signal(SIGTERM, SIG_IGN);
               ::fork();
               (void)!::write(write_end.get(), "x", 1);
               while (true) ::pause();
             }
             while (true) ::pause();
             return 0;
           })
        .value_or(99);
  });
  write_end.reset();
  char byte = 0;
  for (int i = 0; i < 2; ++i) ASSERT_EQ(::read(read_end.get(), &byte, 1), 1);
  caller.signal(signal);
  const int status = caller.wait();
  if (signal == SIGKILL) {
    EXPECT_TRUE(WIFSIGNALED(status));
  } else {
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 128 + signal) << status;
  }
  pollfd end{.fd = read_end.get(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&end, 1, 10'000), 1) << "somebody lives on";
  EXPECT_EQ(::read(read_end.get(), &byte, 1), 0);
}

TEST_F(Contained, NobodyOutlivesACallerThatIsTerminated) { expect_nobody_is_left(SIGTERM); }
TEST_F(Contained, NobodyOutlivesACallerThatIsInterrupted) { expect_nobody_is_left(SIGINT); }
TEST_F(Contained, NobodyOutlivesACallerThatIsKilled) { expect_nobody_is_left(SIGKILL); }

}  // namespace
}  // namespace bench
