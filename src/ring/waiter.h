// SPDX-License-Identifier: Apache-2.0
// The one wait of the project: look for work while there is hope, then sleep until somebody rings.
// NAPI's idea on the side of user space. Engines, clients and benchmarks all wait here.
//
// Who calls it: a loop that found nothing to do. Thread: one per waiter. It reads the TSC: the only
// clock below the engine.
#pragma once

#include <concepts>
#include <cstdint>

#include "base/clock.h"
#include "ring/wake_flag.h"

namespace tideline::ring {

// Decides how long a waiter spins, and learns from how its waits end. See spin_budget.h for the
// rule in use; bench/proofs/waiting compares it with others. All times in TSC ticks.
template <typename B>
concept SpinPolicy = requires(B budget, std::uint64_t ticks) {
  // A wait begins: how long may it spin?
  { budget.limit() } -> std::convertible_to<std::uint64_t>;
  // The thread was off its core for `ticks` in the middle of spinning. Returns whether to go on.
  { budget.interrupted(ticks) } -> std::convertible_to<bool>;
  // The wait ended while spinning, after `ticks`.
  budget.spun(ticks);
  // The wait spun in vain and slept; `ticks` from its begin to its end.
  budget.slept(ticks);
};

// Two reads of the TSC in a spin loop are about 30 ns apart. A gap of this length means that the
// kernel ran something else on this core. Unit: nanoseconds.
inline constexpr Duration kInterruptedGap = std::chrono::microseconds(4);

template <SpinPolicy Budget, typename Memory = StdMemory>
class Waiter {
 public:
  Waiter(BasicWakeFlag<Memory>& flag, Budget budget)
      : flag_(&flag), budget_(budget), gap_ticks_(tsc_ticks(kInterruptedGap)) {}

  // Returns when `ready()` is true, or when `sleep()` has returned and it is still false (a
  // time-out, a signal, another descriptor): then false. `ready` looks for work and is cheap;
  // `sleep` blocks until a bell that the notifiers of `flag` ring, or whatever else the caller
  // waits for.
  template <std::predicate Ready, std::invocable Sleep>
  bool wait(Ready&& ready, Sleep&& sleep) {
    if (ready()) return true;
    const std::uint64_t begin = tsc_now();
    if (spin(ready, begin)) {
      budget_.spun(tsc_now() - begin);
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
    budget_.slept(tsc_now() - begin);
    return found;
  }

  const Budget& budget() const { return budget_; }
  Budget& budget() { return budget_; }
  std::uint64_t sleeps() const { return sleeps_; }

 private:
  template <std::predicate Ready>
  bool spin(Ready& ready, std::uint64_t begin) {
    const std::uint64_t limit = budget_.limit();
    std::uint64_t last = begin;
    while (last - begin < limit) {
      cpu_relax();
      if (ready()) return true;
      const std::uint64_t now = tsc_now();
      if (now - last > gap_ticks_ && !budget_.interrupted(now - last)) return false;
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
