// SPDX-License-Identifier: Apache-2.0
#include "compare/contained.h"

#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/fd.h"

namespace tideline::app::compare {
namespace {

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

Status make_own_view() {
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0 ||
      ::mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) {
    return fail_errno("cannot mount /proc and /run in a namespace");
  }
  // For counting system calls; without it they are left out.
  ::mount("tracefs", "/sys/kernel/tracing", "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  return bring_loopback_up();
}

[[noreturn]] void be_first(const std::function<int()>& body, const sigset_t& signals_before) {
  // The kernel kills all others of the namespace when its first process ends.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::sigprocmask(SIG_SETMASK, &signals_before, nullptr);
  int status = 3;
  if (const Status made = make_own_view(); made) {
    status = body();
  } else {
    std::fprintf(stderr, "tideline: %s\n", made.error().message().c_str());
  }
  std::fflush(nullptr);
  ::_exit(status);
}

}  // namespace

Result<int> run_contained(const std::function<int()>& body) {
  if (::unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID) != 0) {
    return fail_errno("cannot make namespaces",
                      "run it as root (of a container: with CAP_SYS_ADMIN)");
  }
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return fail_errno("cannot keep mounts to a namespace");
  }
  sigset_t watched;
  sigset_t before;
  ::sigemptyset(&watched);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT})
    ::sigaddset(&watched, number);
  ::sigprocmask(SIG_BLOCK, &watched, &before);
  std::fflush(nullptr);
  const pid_t first = ::fork();
  if (first < 0) return fail_errno("cannot start a process");
  if (first == 0) be_first(body, before);

  int ended_by = 0;
  int status = 0;
  while (::waitpid(first, &status, WNOHANG) != first) {
    int number = 0;
    ::sigwait(&watched, &number);
    if (number == SIGCHLD) continue;
    ended_by = number;
    ::kill(first, SIGKILL);
  }
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (ended_by != 0) return 128 + ended_by;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace tideline::app::compare
