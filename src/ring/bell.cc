// SPDX-License-Identifier: Apache-2.0
#include "ring/bell.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace tideline::ring {
namespace {

timespec to_timespec(Duration duration) {
  duration = std::max(duration, Duration::zero());  // a deadline that has passed
  constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
  return {.tv_sec = duration.count() / kNanosPerSecond,
          .tv_nsec = duration.count() % kNanosPerSecond};
}

}  // namespace

Result<EventBell> EventBell::create() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd)
    return fail_errno("cannot create an eventfd", "raise the limit of open files (ulimit -n)");
  return EventBell(std::move(fd));
}

void EventBell::ring() const {
  const std::uint64_t one = 1;
  // EAGAIN means that 2^64 - 2 rings are pending: the sleeper wakes all the same.
  [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof(one));
}

void EventBell::silence() const {
  std::uint64_t rings = 0;
  [[maybe_unused]] const ssize_t read = ::read(fd_.get(), &rings, sizeof(rings));
}

bool EventBell::sleep(Duration timeout) const {
  pollfd entry{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  const timespec limit = to_timespec(timeout);
  if (::ppoll(&entry, 1, timeout == kForever ? nullptr : &limit, nullptr) <= 0) return false;
  silence();
  return true;
}

void FutexBell::ring() {
  // Release, with the acquire in sleep(): what was published before the ring is seen after it.
  rings_->fetch_add(1, std::memory_order_release);
  ::syscall(SYS_futex, rings_, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

bool FutexBell::sleep(Duration timeout) {
  const timespec limit = to_timespec(timeout);
  // Without FUTEX_PRIVATE_FLAG: the waker may be another process.
  ::syscall(SYS_futex, rings_, FUTEX_WAIT, seen_, timeout == kForever ? nullptr : &limit, nullptr,
            0);
  const std::uint32_t rings = rings_->load(std::memory_order_acquire);
  return std::exchange(seen_, rings) != rings;
}

}  // namespace tideline::ring
