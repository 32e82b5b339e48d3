// SPDX-License-Identifier: Apache-2.0
// Telling waiters: hints, arming, and the promise that no wake-up is lost. Used by the shim (any
// thread) and by the broker.
//
//   who changes a FIFO                         who waits
//   ------------------                         ---------
//   publish                                    arm: armed = 1
//   fence                                      fence
//   set the hint bit unless it is set          look at the hints; any: disarm, handle
//   armed? exchange(0) was 1? ring             sleep on the doorbell
//
// A waiter clears a hint (exchange, a full fence) before it looks at the FIFO. So a hint that was
// already set when the producer looked is cleared later, and the waiter then sees the bytes; and if
// the producer set it, either it saw `armed`, or the waiter armed later and its look at the hints
// finds it.
#pragma once

#include <bit>

#include "proofs/token/layout.h"

namespace proofs::token {

inline constexpr std::uint32_t kSlotUsed = 1U << 31;

static_assert(tideline::is_power_of_two(kHints) && tideline::is_power_of_two(kMaxBells));
constexpr std::uint32_t slot_word(std::uint32_t bell, std::uint32_t hint) {
  return kSlotUsed | (hint & (kHints - 1)) << 16 | bell;
}
constexpr std::uint32_t slot_bell(std::uint32_t word) { return word & (kMaxBells - 1); }
constexpr std::uint32_t slot_hint(std::uint32_t word) { return word >> 16 & (kHints - 1); }

// Registers a waiter. -1 if all slots are taken: the caller then looks again by time.
inline int add_waiter(Endpoint& endpoint, std::uint32_t bell, std::uint32_t hint) {
  std::uint32_t used = endpoint.used.load(std::memory_order_relaxed);
  int slot = 0;
  do {
    slot = std::countr_one(used);
    if (slot >= static_cast<int>(kSlots)) return -1;
  } while (!endpoint.used.compare_exchange_weak(used, used | 1U << slot));
  endpoint.slots[static_cast<std::size_t>(slot)].store(slot_word(bell, hint));
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return slot;
}

inline void remove_waiter(Endpoint& endpoint, int slot) {
  if (slot < 0) return;
  endpoint.slots[static_cast<std::size_t>(slot)].store(0, std::memory_order_relaxed);
  endpoint.used.fetch_and(~(1U << slot));
}

// Calls `ring(bell number)` for each waiter that sleeps. The caller has published what changed.
template <typename Ring>
void notify(Endpoint& endpoint, Board& board, Ring ring) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  std::uint32_t used = endpoint.used.load(std::memory_order_relaxed) & ((1U << kSlots) - 1);
  for (; used != 0; used &= used - 1) {
    const auto index = static_cast<std::size_t>(std::countr_zero(used));
    const std::uint32_t word = endpoint.slots[index].load(std::memory_order_relaxed);
    if (word == 0) continue;
    Bell& bell = board.bells[slot_bell(word)];
    std::atomic<std::uint64_t>& hints = bell.hints[slot_hint(word) / 64];
    const std::uint64_t bit = std::uint64_t{1} << (slot_hint(word) % 64);
    if ((hints.load(std::memory_order_relaxed) & bit) == 0) hints.fetch_or(bit);
    if (bell.armed.load(std::memory_order_relaxed) != 0 && bell.armed.exchange(0) != 0) {
      ring(slot_bell(word));
    }
  }
}

inline bool any_hint(const Bell& bell) {
  std::uint64_t any = 0;
  for (const auto& word : bell.hints) any |= word.load(std::memory_order_relaxed);
  return any != 0;
}

// Sets need_wakeup; false (and disarmed) if there is a hint to handle instead of sleeping.
inline bool arm(Bell& bell) {
  bell.armed.store(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (!any_hint(bell)) return true;
  bell.armed.store(0, std::memory_order_relaxed);
  return false;
}

// Takes all hints; calls `take(hint)` for each.
template <typename Take>
void take_hints(Bell& bell, Take take) {
  for (std::size_t word = 0; word < kHintWords; ++word) {
    if (bell.hints[word].load(std::memory_order_relaxed) == 0) continue;
    for (std::uint64_t bits = bell.hints[word].exchange(0); bits != 0; bits &= bits - 1) {
      take(word * 64 + static_cast<std::size_t>(std::countr_zero(bits)));
    }
  }
}

}  // namespace proofs::token
