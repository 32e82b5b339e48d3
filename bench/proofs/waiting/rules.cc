// SPDX-License-Identifier: Apache-2.0
#include "proofs/waiting/rules.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/clock.h"

namespace proofs::waiting {
namespace {

using tideline::tsc_ticks;

constexpr tideline::Duration kLongest = std::chrono::microseconds(50);
constexpr tideline::Duration kShortest = std::chrono::microseconds(4);
constexpr std::uint32_t kLastSkip = 1024;
constexpr std::uint32_t kLooksBeforeYield = 20;

constexpr std::array<Rule, 14> kRules{{
    {"never spin", Length::kNone, Signal::kNone},
    {"always spin", Length::kForever, Signal::kNone},
    {"20 us", Length::k20us, Signal::kNone},
    {"50 us", Length::k50us, Signal::kNone},
    {"50 us, yield", Length::k50us, Signal::kYield},
    {"learn", Length::kLearn, Signal::kNone},
    {"learn, gap", Length::kLearn, Signal::kGap},
    {"learn, nivcsw", Length::kLearn, Signal::kSwitches},
    {"learn, cpu", Length::kLearn, Signal::kCpu},
    {"back off", Length::kBackOff, Signal::kNone},
    {"back off, gap", Length::kBackOff, Signal::kGap},
    {"back off, yield", Length::kBackOff, Signal::kYield},
    {"back off, guarded yield", Length::kProduct, Signal::kNone},
    {"back off, cpu", Length::kBackOff, Signal::kCpu},
}};

}  // namespace

std::span<const Rule> all_rules() { return kRules; }
const Rule& never_spin() { return kRules[0]; }
const Rule& always_spin() { return kRules[1]; }

RuleBudget::RuleBudget(const Rule& rule, CpuOfProcess* own, std::vector<const CpuOfProcess*> peers)
    : rule_(rule),
      own_(own),
      peers_(std::move(peers)),
      longest_(tsc_ticks(rule.length == Length::k20us ? kLongest * 2 / 5 : kLongest)),
      learned_(longest_) {}

void RuleBudget::relax() {
  if (rule_.length == Length::kProduct) {
    product_.relax();
  } else if (rule_.signal == Signal::kYield && ++looks_ > kLooksBeforeYield) {
    ::sched_yield();
  } else {
    tideline::cpu_relax();
  }
}

std::uint64_t RuleBudget::limit(std::uint64_t now) {
  if (rule_.length == Length::kProduct) return product_.limit(now);
  looks_ = 0;
  begin_ = now;
  limit_ = longest_;
  if (rule_.length == Length::kNone) limit_ = 0;
  if (rule_.length == Length::kForever) limit_ = UINT64_MAX;
  if (rule_.length == Length::kLearn) limit_ = learned_;
  if (skip_ > 0 || (rule_.signal == Signal::kCpu && shares_core_with_peer())) limit_ = 0;
  return limit_;
}

bool RuleBudget::interrupted(std::uint64_t now, std::uint64_t ticks) {
  if (rule_.length == Length::kProduct) return product_.interrupted(now, ticks);
  gap_seen_ = rule_.signal == Signal::kGap;
  return !gap_seen_;
}

void RuleBudget::spun() {
  product_.spun();
  next_skip_ = std::max(next_skip_ / 2, 1U);
}

void RuleBudget::slept() {
  product_.slept();
  if (skip_ > 0) {
    --skip_;
  } else if (short_of_cores() || (rule_.length == Length::kBackOff && limit_ > 0)) {
    back_off();
  } else if (rule_.length == Length::kLearn) {
    learned_ = tideline::tsc_now() - begin_ <= longest_
                   ? std::clamp(2 * learned_, tsc_ticks(kShortest), longest_)
                   : learned_ / 2;
  }
}

bool RuleBudget::short_of_cores() {
  const bool gap_seen = std::exchange(gap_seen_, false);
  return rule_.signal == Signal::kSwitches ? was_switched_out() : gap_seen;
}

void RuleBudget::back_off() {
  skip_ = next_skip_;
  next_skip_ = std::min(2 * next_skip_, kLastSkip);
}

void RuleBudget::publish_cpu() {
  if (rule_.signal != Signal::kCpu) return;
  const int cpu = ::sched_getcpu();
  if (own_->load(std::memory_order_relaxed) != cpu) own_->store(cpu, std::memory_order_relaxed);
}

// A peer that was last seen on this core is not running now: to spin is to keep it from running.
bool RuleBudget::shares_core_with_peer() {
  publish_cpu();
  const int cpu = own_->load(std::memory_order_relaxed);
  return std::ranges::any_of(peers_, [cpu](const CpuOfProcess* peer) {
    return peer->load(std::memory_order_relaxed) == cpu;
  });
}

bool RuleBudget::was_switched_out() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  return std::exchange(switches_, usage.ru_nivcsw) != usage.ru_nivcsw;
}

}  // namespace proofs::waiting
