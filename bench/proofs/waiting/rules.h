// SPDX-License-Identifier: Apache-2.0
// The rules that compete for the spin budget: how long a waiter looks for work before it sleeps,
// and what tells it that cores are short. One thread per budget.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ring/spin_budget.h"
#include "ring/waiter.h"

namespace proofs::waiting {

// How the length of the next spin follows from earlier waits.
enum class Length {
  kNone,     // sleep at once
  kForever,  // never sleep
  k20us,
  k50us,
  kLearn,    // 0 to 50 us: doubles if the work came within 50 us, halves if it came later (as KVM's
             // halt polling)
  kProduct,  // ring::SpinBudget as it is: kBackOff, with yields that stop where programs compute
  kBackOff,  // 50 us or nothing: after a spin in vain the next 1, 2, 4 .. 1024 waits sleep at once;
             // success halves that
};

// What else makes a waiter stop spinning for a while.
enum class Signal {
  kNone,
  kGap,       // the spin loop was off its core for 4 us: two reads of the TSC
  kSwitches,  // involuntary context switches since the last sleep: getrusage(RUSAGE_THREAD)
  kCpu,       // a peer said that it is on this very core: sched_getcpu (rseq), no system call
  kYield,     // none, but after about 1 us the core is offered to others between two looks:
              // sched_yield
};

struct Rule {
  std::string_view name;
  Length length;
  Signal signal;
};

// All rules in the order in which the table has them.
std::span<const Rule> all_rules();
const Rule& never_spin();
const Rule& always_spin();

// Where a process last ran: written by it, read by its peers. -1: unknown.
using CpuOfProcess = std::atomic<int>;

// A ring::SpinPolicy that follows a rule chosen at run time. `own` is published, `peers` are
// consulted.
class RuleBudget {
 public:
  RuleBudget(const Rule& rule, CpuOfProcess* own, std::vector<const CpuOfProcess*> peers);

  void relax();
  std::uint64_t limit(std::uint64_t now);
  bool interrupted(std::uint64_t now, std::uint64_t ticks);
  void spun();
  void slept();

  // Tells the peers which core this process is on; cheap enough for every message.
  void publish_cpu();

 private:
  bool shares_core_with_peer();
  bool was_switched_out();
  bool short_of_cores();
  void back_off();

  Rule rule_;
  CpuOfProcess* own_;
  std::vector<const CpuOfProcess*> peers_;
  tideline::ring::SpinBudget product_;
  std::uint64_t longest_;
  std::uint64_t learned_;
  std::uint64_t begin_ = 0;  // of the wait under way
  std::uint64_t limit_ = 0;  // of the wait under way
  std::uint32_t looks_ = 0;  // of the wait under way
  bool gap_seen_ = false;    // in the wait under way
  std::uint32_t skip_ = 0;   // waits that are still to be made without spinning
  std::uint32_t next_skip_ = 1;
  long switches_ = 0;
};

static_assert(tideline::ring::SpinPolicy<RuleBudget>);

}  // namespace proofs::waiting
