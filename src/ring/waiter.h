// SPDX-License-Identifier: Apache-2.0
// The one wait of the project: look for work while there is hope, then sleep until somebody rings.
// NAPI's idea on the side of user space. Engines, clients and benchmarks all wait here.
//
// Who calls it: a loop that found nothing to do. Thread: one per waiter. It reads the TSC: the only
// clock below the engine.
#pragma once

#include <concepts>
#include <cstdint>
#include <utility>

#include "base/clock.h"
#include "ring/wake_flag.h"

namespace tideline::ring {

// Decides how long a waiter looks for work, and learns from how its waits end. spin_budget.h has
// the rule in use; bench/proofs/waiting compares it with others. `now` and all lengths are TSC
// ticks.
template <typename B>
concept SpinPolicy = requires(B budget, std::uint64_t now, std::uint64_t ticks) {
  // A wait begins: how long may it look?
  { budget.limit(now) } -> std::convertible_to<std::uint64_t>;
  // Between two looks: PAUSE, or something that gives the core away.
  budget.relax();
  // The thread was off its core for `ticks` between two looks. Returns whether to go on.
  { budget.interrupted(now, ticks) } -> std::convertible_to<bool>;
  // The wait found work while looking.
  budget.spun();
  // The wait looked in vain, or not at all.
  budget.slept();
};

// Two reads of the TSC in a spin loop are about 30 ns apart. A gap of this length means that the
// kernel ran something else on this core.
inline constexpr Duration kInterruptedGap = std::chrono::microseconds(4);

template <SpinPolicy Budget, typename Memory = StdMemory>
class Waiter {
 public:
  Waiter(BasicWakeFlag<Memory>& flag, Budget budget)
      : flag_(&flag), budget_(std::move(budget)), gap_ticks_(tsc_ticks(kInterruptedGap)) {}

  // Returns when `ready()` is true, or when `sleep()` has returned and it is still false (a
  // time-out, a signal, another descriptor): then false. `ready` looks for work and is cheap;
  // `sleep` blocks until a bell that the notifiers of `flag` ring, or whatever else the caller
  // waits for.
  template <std::predicate Ready, std::invocable Sleep>
  bool wait(Ready&& ready, Sleep&& sleep) {
    if (ready()) return true;
    if (spin(ready)) {
      budget_.spun();
      return true;
    }
    flag_->arm();
    bool found = ready();  // the look that the protocol of WakeFlag demands
    if (!found) {
      sleep();
      ++sleeps_;
    }
    flag_->disarm();
    if (!found) found = ready();
    budget_.slept();
    return found;
  }

  const Budget& budget() const { return budget_; }
  Budget& budget() { return budget_; }
  std::uint64_t sleeps() const { return sleeps_; }

 private:
  template <std::predicate Ready>
  bool spin(Ready& ready) {
    const std::uint64_t begin = tsc_now();
    const std::uint64_t limit = budget_.limit(begin);
    std::uint64_t last = begin;
    while (last - begin < limit) {
      budget_.relax();
      const std::uint64_t now = tsc_now();
      // Told also when the work has come in the meantime: the budget learns what the absence cost.
      const bool go_on = now - last <= gap_ticks_ || budget_.interrupted(now, now - last);
      if (ready()) return true;
      if (!go_on) return false;
      last = now;
    }
    return false;
  }

  BasicWakeFlag<Memory>* flag_;
  Budget budget_;
  std::uint64_t gap_ticks_;
  std::uint64_t sleeps_ = 0;
};

}  // namespace tideline::ring
