// SPDX-License-Identifier: Apache-2.0
// How long a Waiter looks for work before it sleeps: the rule in use (docs/adr/0002). Pure
// arithmetic on TSC ticks, no clock. One thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"
#include "base/time.h"

namespace tideline::ring {

// Grows while a longer look would have found the work, shrinks while looks are in vain, and is zero
// while cores are short. That shows in one way that needs no system call and no trust in anybody:
// the spin loop was off its core.
class AdaptiveBudget {
 public:
  struct Limits {
    Duration longest = std::chrono::microseconds(50);
    Duration first = std::chrono::microseconds(8);  // what a budget of zero grows to
    // Waits without any spinning after the core was taken away once; doubles each time that it
    // happens again, up to the last, and is back at the first after as many undisturbed waits.
    std::uint32_t first_pause = 64;
    std::uint32_t last_pause = 16'384;
  };

  AdaptiveBudget() : AdaptiveBudget(Limits()) {}
  explicit AdaptiveBudget(const Limits& limits)
      : longest_(tsc_ticks(limits.longest)),
        first_(tsc_ticks(limits.first)),
        budget_(longest_),
        limits_(limits),
        next_pause_(limits.first_pause) {}

  std::uint64_t limit() const { return pause_ > 0 ? 0 : budget_; }

  bool interrupted(std::uint64_t /*ticks*/) {
    pause_ = next_pause_;
    next_pause_ = std::min(2 * next_pause_, limits_.last_pause);
    undisturbed_ = 0;
    return false;
  }

  void spun(std::uint64_t /*ticks*/) { calm(); }

  void slept(std::uint64_t ticks) {
    if (pause_ > 0) {
      --pause_;
      return;
    }
    calm();
    budget_ = ticks <= longest_ ? std::min(longest_, std::max(first_, 2 * budget_)) : budget_ / 2;
    if (budget_ < first_ / 2) budget_ = 0;
  }

 private:
  void calm() {
    if (++undisturbed_ < next_pause_) return;
    undisturbed_ = 0;
    next_pause_ = limits_.first_pause;
  }

  std::uint64_t longest_;
  std::uint64_t first_;
  std::uint64_t budget_;
  Limits limits_;
  std::uint32_t pause_ = 0;  // waits that are still to be made without spinning
  std::uint32_t next_pause_;
  std::uint32_t undisturbed_ = 0;
};

}  // namespace tideline::ring
