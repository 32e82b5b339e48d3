// SPDX-License-Identifier: Apache-2.0
// How long a Waiter looks for work before it sleeps: the rule that won the comparison of
// docs/adr/0002. One thread.
#pragma once

#include <sched.h>

#include <algorithm>
#include <cstdint>

#include "base/clock.h"
#include "base/time.h"

namespace tideline::ring {

// Looks for `longest`, or not at all: after a look in vain the next 1, 2, 4 .. waits sleep at once,
// and every success halves that number again. Its own success is the only thing it trusts: a
// program that waits long sleeps, and two that answer each other at once find each other looking.
//
// For the first microsecond a look is PAUSE, for a peer on another core answers within it. After
// that the core is offered to others between two looks (sched_yield): a peer that shares the core
// answers without anybody asleep. The price is paid when a program that computes takes the offer,
// for it keeps the core for a whole time slice. An offer that took so long is not repeated until a
// hundred times its length has passed, which bounds the loss at one part in a hundred.
class SpinBudget {
 public:
  struct Limits {
    // Longer than it takes to wake a sleeping peer and have its answer: two waiters that both sleep
    // would otherwise never find out that looking pays.
    Duration longest = std::chrono::microseconds(50);
    std::uint32_t looks_before_yield = 20;
    std::uint32_t most_skipped = 1024;
    Duration long_offer = std::chrono::microseconds(200);
    std::uint32_t long_offer_factor = 100;
  };

  SpinBudget() : SpinBudget(Limits()) {}
  explicit SpinBudget(const Limits& limits)
      : limits_(limits),
        longest_(tsc_ticks(limits.longest)),
        long_offer_(tsc_ticks(limits.long_offer)) {}

  // The policy of Waiter; see SpinPolicy in waiter.h.
  std::uint64_t limit(std::uint64_t now) {
    looks_ = 0;
    yields_ = now >= no_yield_before_;
    return skip_ > 0 ? 0 : longest_;
  }

  void relax() {
    if (++looks_ > limits_.looks_before_yield && yields_) {
      ::sched_yield();
    } else {
      cpu_relax();
    }
  }

  bool interrupted(std::uint64_t now, std::uint64_t ticks) {
    if (ticks < long_offer_) return true;
    // An absence before the first offer was not of our making.
    if (yields_ && looks_ > limits_.looks_before_yield) {
      no_yield_before_ = now + limits_.long_offer_factor * ticks;
    }
    return false;
  }

  // Whether the wait under way offers the core once it has looked for long enough.
  bool offers() const { return yields_; }

  void spun() { next_skip_ = std::max(next_skip_ / 2, 1U); }

  void slept() {
    if (skip_ > 0) {
      --skip_;
      return;
    }
    skip_ = next_skip_;
    next_skip_ = std::min(2 * next_skip_, limits_.most_skipped);
  }

 private:
  Limits limits_;
  std::uint64_t longest_;
  std::uint64_t long_offer_;
  std::uint64_t no_yield_before_ = 0;
  std::uint32_t looks_ = 0;  // of the wait under way
  bool yields_ = true;       // in the wait under way
  std::uint32_t skip_ = 0;   // waits that are still to be made without looking
  std::uint32_t next_skip_ = 1;
};

}  // namespace tideline::ring
