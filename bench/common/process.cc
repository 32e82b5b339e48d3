// SPDX-License-Identifier: Apache-2.0
#include "common/process.h"

#include <fmt/core.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/check.h"

namespace bench {

namespace {

// The cores that this process was given, read before it first pins itself; children inherit it.
const cpu_set_t& given_cores() {
  static const cpu_set_t cores = [] {
    cpu_set_t set;
    CHECK(::sched_getaffinity(0, sizeof(set), &set) == 0, "errno {}", errno);
    return set;
  }();
  return cores;
}

}  // namespace

int usable_cores() { return CPU_COUNT(&given_cores()); }

void pin_to_core(int core) {
  CHECK(core >= 0 && core < usable_cores(), "core {} of {}", core, usable_cores());
  int number = 0;
  for (int before = core; !CPU_ISSET(number, &given_cores()) || before-- > 0; ++number) {
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(number, &set);
  CHECK(::sched_setaffinity(0, sizeof(set), &set) == 0, "core {}, errno {}", number, errno);
}

void unpin() {
  CHECK(::sched_setaffinity(0, sizeof(cpu_set_t), &given_cores()) == 0, "errno {}", errno);
}

Child Child::run(const std::function<int()>& body) {
  std::fflush(nullptr);
  // Where SIGCHLD is ignored, which exec passes on, the kernel throws the children's status away.
  CHECK(::signal(SIGCHLD, SIG_DFL) != SIG_ERR, "errno {}", errno);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  CHECK(pid >= 0, "fork failed, errno {}", errno);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // 0: a parent outside of this process's PID namespace.
    if (const pid_t now = ::getppid(); now != parent && now != 0) ::_exit(127);
    const int status = body();
    std::fflush(nullptr);
    ::_exit(status);
  }
  return Child(pid);
}

Child::Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

Child::~Child() {
  if (pid_ < 0) return;
  signal(SIGKILL);
  wait();
}

void Child::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

int Child::wait() {
  if (pid_ < 0) return 0;
  int status = 0;
  pid_t ended = -1;
  do {
    ended = ::waitpid(pid_, &status, 0);
  } while (ended < 0 && errno == EINTR);
  CHECK(ended == pid_, "waitpid of {}, errno {}", pid_, errno);
  pid_ = -1;
  return status;
}

std::optional<int> Child::poll() {
  if (pid_ < 0) return 0;
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == 0) return std::nullopt;
  CHECK(ended == pid_, "waitpid of {}, errno {}", pid_, errno);
  pid_ = -1;
  return status;
}

bool Child::succeeded() {
  const int status = wait();
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace bench
