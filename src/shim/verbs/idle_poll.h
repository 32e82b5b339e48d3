// SPDX-License-Identifier: Apache-2.0
// What a program that polls in a loop does between two polls that found nothing: it waits, without
// saying so, and on a machine with fewer cores than such programs the one it waits for may need the
// core. So it goes by the rule of every other wait (ring/spin_budget.h), but never sleeps. One per
// thread.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "ring/spin_budget.h"
#include "ring/waiter.h"

namespace tideline::shim::verbs {

class IdlePoll {
 public:
  void found() { waiting_ = false; }

  void found_nothing() {
    const std::uint64_t before = tsc_now();
    if (!waiting_) begin(before);
    budget_.relax();
    const std::uint64_t after = tsc_now();
    if (after - before > gap_ticks_ && !budget_.interrupted(after, after - before)) begin(after);
  }

 private:
  void begin(std::uint64_t now) {
    budget_.limit(now);
    waiting_ = true;
  }

  ring::SpinBudget budget_;
  std::uint64_t gap_ticks_ = tsc_ticks(ring::kInterruptedGap);
  bool waiting_ = false;
};

}  // namespace tideline::shim::verbs
