// SPDX-License-Identifier: Apache-2.0
// Waiting in poll, select and blocking calls, on our sockets and the kernel's descriptors together:
// look, drive the engine while there is hope, enlist, arm, look again, sleep in the kernel.
// Failures as negative errno. Thread: any.
#pragma once

#include <poll.h>
#include <signal.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <span>

#include "base/clock.h"
#include "base/time.h"
#include "shim/sockets/file.h"
#include "shim/sockets/signals.h"

namespace tideline::shim::sockets {

// When a wait must end.
class Deadline {
 public:
  static Deadline never() { return Deadline(kNever); }
  static Deadline at_once() { return Deadline(Instant{}); }
  static Deadline after(Duration timeout) {
    const Instant now = monotonic_now();
    return Deadline(timeout >= kNever - now ? kNever : now + timeout);
  }
  // As poll takes it: -1 is for ever.
  static Deadline after_ms(int timeout) {
    if (timeout < 0) return never();
    return timeout == 0 ? at_once() : after(std::chrono::milliseconds(timeout));
  }
  // As SO_RCVTIMEO: 0 is for ever.
  static Deadline after_us(std::int64_t timeout) {
    return timeout == 0 ? never() : after(std::chrono::microseconds(timeout));
  }
  static Deadline of(const timespec* timeout) {
    constexpr time_t kForever = 1'000'000'000;  // in nanoseconds it would not be a number
    if (timeout == nullptr || timeout->tv_sec >= kForever) return never();
    const Duration length =
        std::chrono::seconds(timeout->tv_sec) + std::chrono::nanoseconds(timeout->tv_nsec);
    return length <= Duration::zero() ? at_once() : after(length);
  }

  Deadline earlier(Instant other) const { return Deadline(std::min(end_, other)); }
  bool is_never() const { return end_ == kNever; }
  bool is_at_once() const { return end_ == Instant{}; }
  bool has_passed() const { return !is_never() && (is_at_once() || monotonic_now() >= end_); }
  timespec left() const {
    const Instant now = is_at_once() ? end_ : monotonic_now();
    const Duration left = end_ <= now ? Duration{} : end_ - now;
    return {.tv_sec = left.count() / 1'000'000'000, .tv_nsec = left.count() % 1'000'000'000};
  }

 private:
  explicit Deadline(Instant end) : end_(end) {}

  Instant end_;
};

// Waits for events on one socket of ours, in a call that began at `begun`. 1: there, 0: time is up.
// Without a time limit a signal ends it only as POSIX says for blocking calls (SA_RESTART).
int wait_for(int fd, File& file, short events, Deadline deadline, const SignalMark& begun);

// ppoll(2) on any mixture; how many descriptors have events.
int poll_mixed(std::span<pollfd> fds, Deadline deadline, const sigset_t* mask);

}  // namespace tideline::shim::sockets
