// SPDX-License-Identifier: Apache-2.0
// Waiting in poll, select and blocking calls, on tokens and kernel descriptors together: look, spin
// for the budget, register with the tokens, arm, look again, sleep in the kernel. Any thread.
#pragma once

#include <poll.h>
#include <signal.h>
#include <time.h>

#include <atomic>
#include <cstdint>
#include <span>

#include "base/clock.h"

namespace proofs::token {

// Waits for `events` on one token. 1: there (or an error event), 0: time is up, else a negative
// errno.
int wait_for(int fd, short events, int timeout_ms);

// ppoll(2) on any mixture; the number of descriptors with events, or a negative errno.
int poll_mixed(std::span<pollfd> fds, int timeout_ms, const sigset_t* mask);

// When a wait must end.
class Deadline {
 public:
  explicit Deadline(int timeout_ms);
  // What is left, rounded up, as poll takes it; -1: for ever.
  int left_ms() const;

 private:
  int timeout_ms_;
  tideline::Instant end_{};
};

// Milliseconds as poll takes them, of a timespec (null: for ever); rounded up.
int to_ms(const timespec* timeout);

// How long to look before sleeping: doubles when looking paid, halves when it did not, and tries
// again now and then. At most Settings::spin_us; zero switches it off. Shared by the threads of a
// process.
class SpinBudget {
 public:
  // Calls `look` until it returns true (then so does this) or the budget is used up.
  template <typename Look>
  bool spin(std::uint32_t most_us, Look look) {
    if (most_us == 0) return false;
    if (most_ticks_ == 0) most_ticks_ = tideline::tsc_ticks(std::chrono::microseconds(most_us));
    std::uint64_t budget = budget_.load(std::memory_order_relaxed);
    if (budget < most_ticks_ / 16) {
      if (++skipped_ % 64 != 0) return false;
      budget = most_ticks_ / 4;
    }
    const std::uint64_t start = tideline::tsc_now();
    while (tideline::tsc_now() - start < budget) {
      if (look()) {
        budget_.store(std::min(most_ticks_.load(), budget * 2), std::memory_order_relaxed);
        return true;
      }
      tideline::cpu_relax();
    }
    budget_.store(budget / 2, std::memory_order_relaxed);
    return false;
  }

 private:
  std::atomic<std::uint64_t> most_ticks_ = 0;
  std::atomic<std::uint64_t> budget_ = 0;
  std::atomic<std::uint32_t> skipped_ = 0;
};

extern constinit SpinBudget spin_budget;

}  // namespace proofs::token
