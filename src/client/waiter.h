// SPDX-License-Identifier: Apache-2.0
// A waiting context: an epoll instance, or a thread in poll or a blocking call. The engine leaves
// hints in it, which socket to look at, and rings its doorbell if somebody sleeps. A wait costs
// what is ready, not what is watched; docs/adr/0005.
//
//   engine                               client
//   hint(n): bit n of 4096, by summary   take_hints(): where to look
//            rings if armed, once        arm(), look once more, sleep on doorbell(), disarm()
//
// Thread: hint() under the engine's lock; the rest by one client thread at a time.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>

#include "base/bits.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "ring/spin_budget.h"
#include "ring/waiter.h"
#include "ring/wake_flag.h"

namespace tideline::client {

class Waiter {
 public:
  // Sockets beyond share bits with others.
  static constexpr unsigned kHints = 4096;

  static Result<std::unique_ptr<Waiter>> create();

  // An eventfd that blocks, so that a thread that reads it is restarted after signals as POSIX has
  // it. In an epoll set: edge-triggered, and never read.
  int doorbell() const { return doorbell_.get(); }

  // Engine.
  void hint(unsigned number);

  // Client.
  bool has_hints() const { return summary_.load(std::memory_order_relaxed) != 0; }
  // Calls `look(n)` for each hint, and forgets it: sockets with number n, n + kHints, ..
  template <typename Look>
  void take_hints(Look&& look);
  // Looks until `ready()`, or for as long as the rule of every wait allows (ADR 2). Who then sleeps
  // arms, looks once more, and says slept() afterwards.
  template <typename Ready>
  bool spin(Ready&& ready);
  void slept() { budget_.slept(); }
  void arm() { flag_.arm(); }
  void disarm() { flag_.disarm(); }
  // Rings by itself: another thread of the client has changed what the sleeper waits for.
  void ring() const;

 private:
  explicit Waiter(UniqueFd doorbell) : doorbell_(std::move(doorbell)) {}

  ring::WakeFlag flag_;
  alignas(kCacheLine) std::atomic<std::uint64_t> summary_{0};
  std::array<std::atomic<std::uint64_t>, kHints / 64> words_{};
  alignas(kCacheLine) ring::Notifier notifier_{flag_};  // the engine's
  UniqueFd doorbell_;
  ring::SpinBudget budget_;  // the client's
  std::uint64_t gap_ticks_ = tsc_ticks(ring::kInterruptedGap);
};

template <typename Ready>
bool Waiter::spin(Ready&& ready) {
  const std::uint64_t begin = tsc_now();
  const std::uint64_t limit = budget_.limit(begin);
  std::uint64_t last = begin;
  while (last - begin < limit) {
    budget_.relax();
    const std::uint64_t now = tsc_now();
    const bool go_on = now - last <= gap_ticks_ || budget_.interrupted(now, now - last);
    if (ready()) {
      budget_.spun();
      return true;
    }
    if (!go_on) return false;
    last = tsc_now();
  }
  return false;
}

template <typename Look>
void Waiter::take_hints(Look&& look) {
  if (!has_hints()) return;
  std::uint64_t words = summary_.exchange(0, std::memory_order_acquire);
  for (; words != 0; words &= words - 1) {
    const auto word = static_cast<unsigned>(std::countr_zero(words));
    std::uint64_t bits = words_[word].exchange(0, std::memory_order_acquire);
    for (; bits != 0; bits &= bits - 1) {
      look(word * 64 + static_cast<unsigned>(std::countr_zero(bits)));
    }
  }
}

}  // namespace tideline::client
