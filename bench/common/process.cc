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

int usable_cores() {
  cpu_set_t set;
  CHECK(::sched_getaffinity(0, sizeof(set), &set) == 0, "errno {}", errno);
  return CPU_COUNT(&set);
}

void pin_to_core(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  CHECK(::sched_setaffinity(0, sizeof(set), &set) == 0, "core {}, errno {}", core, errno);
}

void unpin() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const long cores = ::sysconf(_SC_NPROCESSORS_ONLN);
  for (long core = 0; core < cores; ++core) CPU_SET(core, &set);
  CHECK(::sched_setaffinity(0, sizeof(set), &set) == 0, "errno {}", errno);
}

Child Child::run(const std::function<int()>& body) {
  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  CHECK(pid >= 0, "fork failed, errno {}", errno);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
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
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  return status;
}

std::optional<int> Child::poll() {
  if (pid_ < 0) return 0;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) <= 0) return std::nullopt;
  pid_ = -1;
  return status;
}

bool Child::succeeded() {
  const int status = wait();
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace bench
