// SPDX-License-Identifier: Apache-2.0
// The bounded list on which callers leave work for whoever holds the engine: many producers, one
// consumer at a time. Each cell carries the turn it waits for, so a producer that was stopped
// half-way delays only the cells behind its own and corrupts none. It never allocates.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "base/bits.h"

namespace tideline::ring {

template <typename Work>
class HandoffList {
 public:
  static_assert(std::is_trivially_copyable_v<Work>);
  static constexpr std::uint32_t kCells = 256;

  HandoffList() {
    for (std::uint32_t i = 0; i < kCells; ++i) cells_[i].turn.store(i, std::memory_order_relaxed);
  }

  // Any thread. False if the list is full.
  bool push(const Work& work) {
    std::uint64_t position = tail_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[position % kCells];
      const std::uint64_t turn = cell.turn.load(std::memory_order_acquire);
      if (turn < position) return false;
      if (turn > position) {
        position = tail_.load(std::memory_order_relaxed);
      } else if (tail_.compare_exchange_weak(position, position + 1, std::memory_order_relaxed)) {
        cell.work = work;
        cell.turn.store(position + 1, std::memory_order_release);
        return true;
      }
    }
  }

  // The holder of the engine only.
  std::optional<Work> pop() {
    Cell& cell = cells_[head_ % kCells];
    if (cell.turn.load(std::memory_order_acquire) != head_ + 1) return std::nullopt;
    const Work work = cell.work;
    cell.turn.store(head_ + kCells, std::memory_order_release);
    ++head_;
    return work;
  }

 private:
  struct Cell {
    std::atomic<std::uint64_t> turn;
    Work work;
  };

  alignas(kCacheLine) std::atomic<std::uint64_t> tail_{0};
  alignas(kCacheLine) std::uint64_t head_ = 0;
  alignas(kCacheLine) std::array<Cell, kCells> cells_{};
};

}  // namespace tideline::ring
