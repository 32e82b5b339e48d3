// SPDX-License-Identifier: Apache-2.0
// The intercepted calls that wait: poll, select, epoll. Called by the program, on any thread.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include <algorithm>
#include <vector>

#include "proofs/token/shim/entry.h"
#include "proofs/token/shim/epoll_set.h"
#include "proofs/token/shim/wait.h"

using namespace proofs::token;  // NOLINT(google-build-using-namespace): C names are in no namespace

namespace {

bool has_stream(const pollfd* fds, nfds_t count) {
  return std::any_of(fds, fds + count, [](const pollfd& entry) {
    return entry.fd >= 0 && kind_of(entry.fd) == Kind::kStream;
  });
}

bool in_set(int fd, const fd_set* set) { return set != nullptr && FD_ISSET(fd, set); }

bool has_stream(int count, const fd_set* reading, const fd_set* writing, const fd_set* except) {
  for (int fd = 0; fd < std::min(count, FD_SETSIZE); ++fd) {
    if ((in_set(fd, reading) || in_set(fd, writing) || in_set(fd, except)) &&
        kind_of(fd) == Kind::kStream) {
      return true;
    }
  }
  return false;
}

int set_if(bool wanted, int fd, fd_set* set) {
  if (!wanted || !in_set(fd, set)) {
    if (set != nullptr) FD_CLR(fd, set);
    return 0;
  }
  return 1;
}

// select as poll: the same waiting for both.
int select_mixed(int count, fd_set* reading, fd_set* writing, fd_set* except, int timeout_ms,
                 const sigset_t* mask) {
  std::vector<pollfd> fds;
  for (int fd = 0; fd < std::min(count, FD_SETSIZE); ++fd) {
    const int events = (in_set(fd, reading) ? POLLIN : 0) | (in_set(fd, writing) ? POLLOUT : 0) |
                       (in_set(fd, except) ? POLLPRI : 0);
    if (events != 0) fds.push_back({.fd = fd, .events = static_cast<short>(events), .revents = 0});
  }
  const int ready = poll_mixed(fds, timeout_ms, mask);
  if (ready < 0) return ready;
  int bits = 0;
  for (const pollfd& entry : fds) {
    const short events = entry.revents;
    if ((events & POLLNVAL) != 0) return -EBADF;
    bits += set_if((events & (POLLIN | POLLHUP | POLLERR)) != 0, entry.fd, reading);
    bits += set_if((events & (POLLOUT | POLLERR)) != 0, entry.fd, writing);
    bits += set_if((events & POLLPRI) != 0, entry.fd, except);
  }
  return bits;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int poll(pollfd* fds, nfds_t count, int timeout_ms) {
  if (!has_stream(fds, count)) return libc().poll(fds, count, timeout_ms);
  return finish(poll_mixed({fds, count}, timeout_ms, nullptr));
}

int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  if (!has_stream(fds, count)) return libc().ppoll(fds, count, timeout, mask);
  return finish(poll_mixed({fds, count}, to_ms(timeout), mask));
}

// NOLINTBEGIN(readability-identifier-naming): libc's names
[[noreturn]] void __chk_fail();

int __poll_chk(pollfd* fds, nfds_t count, int timeout_ms, std::size_t room) {
  if (room / sizeof(pollfd) < count) __chk_fail();
  return poll(fds, count, timeout_ms);
}

int __ppoll_chk(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask,
                std::size_t room) {
  if (room / sizeof(pollfd) < count) __chk_fail();
  return ppoll(fds, count, timeout, mask);
}
// NOLINTEND(readability-identifier-naming)

int select(int count, fd_set* reading, fd_set* writing, fd_set* except, timeval* timeout) {
  if (!has_stream(count, reading, writing, except)) {
    return libc().select(count, reading, writing, except, timeout);
  }
  int timeout_ms = -1;
  if (timeout != nullptr) {
    const timespec limit{.tv_sec = timeout->tv_sec, .tv_nsec = timeout->tv_usec * 1000};
    timeout_ms = to_ms(&limit);
  }
  return finish(select_mixed(count, reading, writing, except, timeout_ms, nullptr));
}

int pselect(int count, fd_set* reading, fd_set* writing, fd_set* except, const timespec* timeout,
            const sigset_t* mask) {
  if (!has_stream(count, reading, writing, except)) {
    return libc().pselect(count, reading, writing, except, timeout, mask);
  }
  return finish(select_mixed(count, reading, writing, except, to_ms(timeout), mask));
}

int epoll_ctl(int epfd, int operation, int fd, epoll_event* event) noexcept {
  const Kind kind = kind_of(fd);
  if (kind == Kind::kInternal) return finish(-EBADF);
  if (kind != Kind::kStream) return libc().epoll_ctl(epfd, operation, fd, event);
  if (kind_of(epfd) != Kind::kEpoll && EpollSet::open(epfd) == nullptr) return finish(-ENOMEM);
  const Ref<EpollSet> set(epfd, Kind::kEpoll);
  return set ? finish(set->control(epfd, operation, fd, event)) : finish(-EBADF);
}

int epoll_pwait(int epfd, epoll_event* events, int count, int timeout_ms, const sigset_t* mask) {
  if (kind_of(epfd) != Kind::kEpoll) {
    return libc().epoll_pwait(epfd, events, count, timeout_ms, mask);
  }
  if (count <= 0) return finish(-EINVAL);
  const Ref<EpollSet> set(epfd, Kind::kEpoll);
  if (!set) return finish(-EBADF);
  return finish(set->wait(epfd, {events, static_cast<std::size_t>(count)}, timeout_ms, mask));
}

int epoll_wait(int epfd, epoll_event* events, int count, int timeout_ms) {
  if (kind_of(epfd) != Kind::kEpoll) return libc().epoll_wait(epfd, events, count, timeout_ms);
  return epoll_pwait(epfd, events, count, timeout_ms, nullptr);
}

}  // extern "C"
#pragma GCC visibility pop
