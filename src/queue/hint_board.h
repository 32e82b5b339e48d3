// SPDX-License-Identifier: Apache-2.0
// Where one side leaves hints for the other, which of many things to look at: a bit each, and a
// summary of the bits. A hint is no promise: what it is about is state elsewhere, so bits that a
// hostile writer sets or clears cost only that writer's own peers time. In private or in shared
// memory, with one layout.
//
//   notifier                                  looker
//   state changes (release store)             take(): summary, then bits; look at the state
//   hint(n): bit, then summary                arm(), look once more, sleep, disarm()
//   Notifier::should_ring() -> rings
//
// Thread: hint() on any; take(), arm() and disarm() on one at a time.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

#include "base/bits.h"
#include "ring/wake_flag.h"

namespace tideline::queue {

class HintBoard {
 public:
  // Numbers beyond share bits with others.
  static constexpr unsigned kHints = 4096;

  // Notifier. The bit before the summary: who takes the summary finds it.
  void hint(unsigned number) {
    const unsigned bit = number % kHints;
    words_[bit / 64].fetch_or(std::uint64_t{1} << bit % 64, std::memory_order_release);
    summary_.fetch_or(std::uint64_t{1} << bit / 64, std::memory_order_release);
  }

  // Looker.
  bool has_hints() const { return summary_.load(std::memory_order_relaxed) != 0; }
  // Calls `look(n)` for each hint, and forgets it: the things n, n + kHints, ..
  template <typename Look>
  void take(Look&& look) {
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
  void arm() { flag_.arm(); }
  void disarm() { flag_.disarm(); }

  // For the notifier's ring::Notifier, which is in its private memory.
  const ring::WakeFlag& flag() const { return flag_; }

 private:
  ring::WakeFlag flag_;
  alignas(kCacheLine) std::atomic<std::uint64_t> summary_{0};
  alignas(kCacheLine) std::array<std::atomic<std::uint64_t>, kHints / 64> words_{};
};
static_assert(sizeof(HintBoard) == 640);

}  // namespace tideline::queue
