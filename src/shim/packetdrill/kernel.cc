// SPDX-License-Identifier: Apache-2.0
#include "shim/packetdrill/kernel.h"

#include <fcntl.h>
#include <signal.h>

#include <chrono>
#include <span>

#include "shim/packetdrill/timekeeper.h"

namespace tideline::shim::packetdrill {
namespace {

Instant after(const timespec* timeout) {
  constexpr time_t kForever = 1'000'000'000;
  if (timeout == nullptr || timeout->tv_sec >= kForever) return kNever;
  return timekeeper.now() + std::chrono::seconds(timeout->tv_sec) +
         std::chrono::nanoseconds(timeout->tv_nsec);
}

Instant after_ms(int timeout) {
  return timeout < 0 ? kNever : timekeeper.now() + std::chrono::milliseconds(timeout);
}

ssize_t sleeping_read(int fd, void* to, std::size_t size) {
  const bool blocks = (kernel().fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  if (blocks) timekeeper.sleep({&entry, 1}, kNever);
  return kernel().read(fd, to, size);
}

int sleeping_ppoll(pollfd* fds, nfds_t count, const timespec* timeout, const sigset_t* mask) {
  constexpr timespec kNow{};
  const Instant deadline = after(timeout);
  if (deadline > timekeeper.now()) timekeeper.sleep({fds, count}, deadline);
  return kernel().ppoll(fds, count, &kNow, mask);
}

int sleeping_poll(pollfd* fds, nfds_t count, int timeout_ms) {
  if (timeout_ms != 0) timekeeper.sleep({fds, count}, after_ms(timeout_ms));
  return kernel().poll(fds, count, 0);
}

int sleep_on_set(int epfd, epoll_event* events, int count, Instant deadline, const sigset_t* mask) {
  for (;;) {
    const int found = kernel().epoll_pwait(epfd, events, count, 0, mask);
    if (found != 0 || timekeeper.now() >= deadline) return found;
    pollfd entry{.fd = epfd, .events = POLLIN, .revents = 0};
    timekeeper.sleep({&entry, 1}, deadline);
  }
}

int sleeping_epoll_wait(int epfd, epoll_event* events, int count, int timeout_ms) {
  return sleep_on_set(epfd, events, count, after_ms(timeout_ms), nullptr);
}

int sleeping_epoll_pwait(int epfd, epoll_event* events, int count, int timeout_ms,
                         const sigset_t* mask) {
  return sleep_on_set(epfd, events, count, after_ms(timeout_ms), mask);
}

int sleeping_epoll_pwait2(int epfd, epoll_event* events, int count, const timespec* timeout,
                          const sigset_t* mask) {
  return sleep_on_set(epfd, events, count, after(timeout), mask);
}

sockets::Libc make_sleeping() {
  sockets::Libc table = kernel();
  table.read = &sleeping_read;
  table.ppoll = &sleeping_ppoll;
  table.poll = &sleeping_poll;
  table.epoll_wait = &sleeping_epoll_wait;
  table.epoll_pwait = &sleeping_epoll_pwait;
  table.epoll_pwait2 = &sleeping_epoll_pwait2;
  return table;
}

}  // namespace

const sockets::Libc& kernel() {
  static const sockets::Libc& own = sockets::find_libc();
  return own;
}

void sleep_in_virtual_time() {
  static const sockets::Libc sleeping = make_sleeping();
  sockets::libc_functions = &sleeping;
}

void sleep_in_real_time() { sockets::libc_functions = &kernel(); }

}  // namespace tideline::shim::packetdrill
