// SPDX-License-Identifier: Apache-2.0
#include "common/network.h"

#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "base/fd.h"
#include "common/process.h"

namespace bench {
namespace {

using tideline::fail_errno;
using tideline::Status;
using tideline::UniqueFd;

int exit_status(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

Status bring_loopback_up() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  if (!socket || ::ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) {
    return fail_errno("cannot bring the loopback interface up");
  }
  return {};
}

// The first process of the namespace: the kernel kills all others when it ends, and gives it their
// orphans to reap.
int be_first(const std::function<int()>& body) {
  CHECK(::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0,
        "errno {}", errno);
  Child main = Child::run(body);
  while (true) {
    siginfo_t ended{};
    if (::waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT) != 0) {
      CHECK(errno == EINTR, "errno {}", errno);
      continue;
    }
    if (ended.si_pid == main.pid()) return exit_status(main.wait());
    ::waitpid(ended.si_pid, nullptr, 0);
  }
}

// Blocks SIGCHLD and those signals that would end this process.
class Blocked {
 public:
  Blocked() {
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, SIGCHLD);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) {
      struct sigaction action{};
      ::sigaction(number, nullptr, &action);
      if (action.sa_handler == SIG_DFL) ::sigaddset(&signals_, number);
    }
    ::sigprocmask(SIG_BLOCK, &signals_, &before_);
  }
  ~Blocked() { restore(); }
  Blocked(const Blocked&) = delete;
  Blocked& operator=(const Blocked&) = delete;

  void restore() const { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  int wait() const {
    int number = 0;
    CHECK(::sigwait(&signals_, &number) == 0);
    return number;
  }

 private:
  sigset_t signals_{};
  sigset_t before_{};
};

}  // namespace

tideline::Result<int> run_contained(const std::function<int()>& body) {
  const UniqueFd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!self) return fail_errno("cannot open a descriptor of this process");
  if (::unshare(CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS) != 0) {
    return fail_errno("cannot make namespaces", "run it as root");
  }
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return fail_errno("cannot make mounts private");
  }
  if (Status status = bring_loopback_up(); !status) return std::unexpected(status.error());

  const Blocked blocked;
  Child first = Child::run([&] {
    // The parent's end kills this one (see Child), unless it came before that was asked for.
    pollfd parent{.fd = self.get(), .events = POLLIN, .revents = 0};
    if (::poll(&parent, 1, 0) != 0) return 127;
    blocked.restore();
    return be_first(body);
  });
  while (true) {
    if (const std::optional<int> status = first.poll()) return exit_status(*status);
    if (const int number = blocked.wait(); number != SIGCHLD) {
      first.signal(SIGKILL);
      first.wait();
      return 128 + number;
    }
  }
}

}  // namespace bench
