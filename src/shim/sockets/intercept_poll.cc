// SPDX-License-Identifier: Apache-2.0
// The intercepted calls that wait. Called by the program, on any thread.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "shim/sockets/calls.h"
#include "shim/sockets/epoll_set.h"
#include "shim/sockets/errors.h"
#include "shim/sockets/libc.h"
#include "shim/sockets/process.h"
#include "shim/sockets/wait.h"

using namespace tideline::shim::sockets;  // NOLINT(google-build-using-namespace): the C face of it

namespace {

bool is_ours(int fd) {
  if (passes_through(fd)) return false;
  if (fd_table.kind(fd) == Kind::kEpoll) EpollSet::nest(fd);
  const FileRef file(fd);
  return file && file->has_ours();
}

bool has_ours(const pollfd* fds, nfds_t count) {
  bool found = false;
  for (nfds_t i = 0; i < count; ++i) found |= is_ours(fds[i].fd);
  return found;
}

// The three sets of select(2).
struct Sets {
  fd_set* reading;
  fd_set* writing;
  fd_set* except;

  static bool has(int fd, const fd_set* set) { return set != nullptr && FD_ISSET(fd, set); }
  // As select(2) says what it waits for.
  short events(int fd) const {
    short events = 0;
    if (has(fd, reading)) events |= POLLIN;
    if (has(fd, writing)) events |= POLLOUT;
    if (has(fd, except)) events |= POLLPRI;
    return events;
  }
  bool have_ours(int count) const {
    bool found = false;
    for (int fd = 0; fd < std::min(count, FD_SETSIZE); ++fd) {
      found |= !passes_through(fd) && events(fd) != 0 && is_ours(fd);
    }
    return found;
  }
};

int select_mixed(int count, const Sets& sets, Deadline deadline, const sigset_t* mask) {
  std::array<pollfd, FD_SETSIZE> fds;
  std::size_t used = 0;
  for (int fd = 0; fd < std::min(count, FD_SETSIZE); ++fd) {
    const short events = sets.events(fd);
    if (events != 0) fds[used++] = {.fd = fd, .events = events, .revents = 0};
  }
  const int ready = poll_mixed({fds.data(), used}, deadline, mask);
  if (ready < 0) return ready;
  for (fd_set* set : {sets.reading, sets.writing, sets.except}) {
    if (set == nullptr) continue;
    for (std::size_t i = 0; i < used; ++i) {
      if (fds[i].revents & POLLNVAL) return -EBADF;
    }
  }
  int found = 0;
  const auto answer = [&](fd_set* set, short wanted, short holds) {
    if (set == nullptr) return;
    for (std::size_t i = 0; i < used; ++i) {
      if ((fds[i].events & wanted) == 0) continue;
      if ((fds[i].revents & holds) != 0) {
        ++found;
      } else {
        FD_CLR(fds[i].fd, set);
      }
    }
  };
  answer(sets.reading, POLLIN, POLLIN | POLLHUP | POLLERR);
  answer(sets.writing, POLLOUT, POLLOUT | POLLERR);
  answer(sets.except, POLLPRI, POLLPRI);
  return found;
}

// An instance of the kernel's: it knows no entry for `other`, which whatever else calls invalid.
bool is_epoll(int fd, int other) {
  const int before = errno;
  const bool found = libc().epoll_ctl(fd, EPOLL_CTL_DEL, other, nullptr) != 0 && errno == ENOENT;
  errno = before;
  return found;
}

int epoll_wait_ours(int epfd, epoll_event* events, int count, Deadline deadline,
                    const sigset_t* mask) {
  if (count <= 0) return -EINVAL;
  const Ref<EpollSet, Kind::kEpoll> set(epfd);
  if (!set) return -EBADF;
  if (process.is_forked()) {
    process.tell_forked();
    return -EOPNOTSUPP;
  }
  return set->wait(epfd, {events, static_cast<std::size_t>(count)}, deadline, mask);
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int poll(pollfd* fds, nfds_t count, int timeout_ms) {
  if (!has_ours(fds, count)) return libc().poll(fds, count, timeout_ms);
  return finish(poll_mixed({fds, count}, Deadline::after_ms(timeout_ms), nullptr));
}

int ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  if (!has_ours(fds, count)) return libc().ppoll(fds, count, timeout, mask);
  return finish(poll_mixed({fds, count}, Deadline::of(timeout), mask));
}

int select(int count, fd_set* reading, fd_set* writing, fd_set* except, timeval* timeout) {
  const Sets sets{.reading = reading, .writing = writing, .except = except};
  if (!sets.have_ours(count)) return libc().select(count, reading, writing, except, timeout);
  if (timeout == nullptr) return finish(select_mixed(count, sets, Deadline::never(), nullptr));
  const timespec limit{.tv_sec = timeout->tv_sec, .tv_nsec = timeout->tv_usec * 1000};
  const Deadline deadline = Deadline::of(&limit);
  const int result = select_mixed(count, sets, deadline, nullptr);
  const timespec left = deadline.left();  // as Linux has it
  *timeout = {.tv_sec = left.tv_sec, .tv_usec = left.tv_nsec / 1000};
  return finish(result);
}

int pselect(int count, fd_set* reading, fd_set* writing, fd_set* except, const timespec* timeout,
            const sigset_t* mask) {
  const Sets sets{.reading = reading, .writing = writing, .except = except};
  if (!sets.have_ours(count)) return libc().pselect(count, reading, writing, except, timeout, mask);
  return finish(select_mixed(count, sets, Deadline::of(timeout), mask));
}

int epoll_ctl(int epfd, int operation, int fd, epoll_event* event) noexcept {
  if (fd_table.kind(fd) != Kind::kSocket) {
    const int result = libc().epoll_ctl(epfd, operation, fd, event);
    if (result != 0) return result;
    const bool nested =
        operation == EPOLL_CTL_ADD && (fd_table.kind(fd) == Kind::kEpoll || is_epoll(fd, epfd));
    if (nested) EpollSet::nest(fd);
    if (passes_through(epfd)) return result;
    if (const Ref<EpollSet, Kind::kEpoll> set(epfd); set) set->note_kernel_item(operation);
    return result;
  }
  {
    const FileRef file(fd);
    // In a forked child what is not yet decided is the kernel's for good.
    const bool known =
        file && file->where() != Side::kKernel && !(process.is_forked() && !file->has_ours());
    if (!known || (passes_through(epfd) && EpollSet::open(epfd) == nullptr)) {
      return libc().epoll_ctl(epfd, operation, fd, event);
    }
  }
  const Ref<EpollSet, Kind::kEpoll> set(epfd);
  return set ? finish(set->control(epfd, operation, fd, event)) : finish(-EBADF);
}

int epoll_wait(int epfd, epoll_event* events, int count, int timeout_ms) {
  if (passes_through(epfd)) {
    return libc().epoll_wait(epfd, events, count, timeout_ms);
  }
  return finish(epoll_wait_ours(epfd, events, count, Deadline::after_ms(timeout_ms), nullptr));
}

int epoll_pwait(int epfd, epoll_event* events, int count, int timeout_ms, const sigset_t* mask) {
  if (passes_through(epfd)) {
    return libc().epoll_pwait(epfd, events, count, timeout_ms, mask);
  }
  return finish(epoll_wait_ours(epfd, events, count, Deadline::after_ms(timeout_ms), mask));
}

int epoll_pwait2(int epfd, epoll_event* events, int count, const timespec* timeout,
                 const sigset_t* mask) {
  if (passes_through(epfd)) {
    return libc().epoll_pwait2(epfd, events, count, timeout, mask);
  }
  return finish(epoll_wait_ours(epfd, events, count, Deadline::of(timeout), mask));
}

// What programs built with _FORTIFY_SOURCE call.
// NOLINTBEGIN(readability-identifier-naming): the C library's names
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

}  // extern "C"
#pragma GCC visibility pop
