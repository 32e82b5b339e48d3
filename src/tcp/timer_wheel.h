// SPDX-License-Identifier: Apache-2.0
// Deadlines of many connections, at a cost that does not grow with their number: a hierarchical
// wheel (Varghese and Lauck, 1987) of 7 levels of 64 slots. A tick is 65.5 us: deadlines come up to
// a tick late, and never early. One thread.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/time.h"

namespace tideline::tcp {

// What stands on a wheel derives from it.
struct TimerNode {
  TimerNode* timer_next = nullptr;
  TimerNode* timer_prev = nullptr;  // null: not on the wheel
  std::uint64_t timer_tick = 0;
  std::uint16_t timer_slot = 0;

  bool is_scheduled() const { return timer_prev != nullptr; }
};

class TimerWheel {
 public:
  TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Moves the node if it is scheduled already.
  void schedule(TimerNode& node, Instant when);
  // Schedules the node unless it is scheduled earlier: whoever it fires for looks again then.
  void schedule_no_later(TimerNode& node, Instant when) {
    if (!node.is_scheduled() || floor_tick(when) < node.timer_tick) schedule(node, when);
  }
  void cancel(TimerNode& node);

  // When to call run(): not after the first deadline's tick.
  Instant next_deadline() const;
  // Calls `fire(node)` for every node whose deadline has come; it is off the wheel by then, and may
  // be scheduled again.
  template <typename Fire>
  void run(Instant now, Fire&& fire) {
    const std::uint64_t until = floor_tick(now);
    for (;;) {
      const auto slot = next_slot();
      if (!slot || slot->tick > until) break;
      tick_ = slot->tick;
      while (TimerNode* node = first_of(slot->index)) {
        unlink(*node);
        if (node->timer_tick <= tick_) {
          fire(*node);
        } else {
          link(*node);
        }
      }
    }
    if (until > tick_) tick_ = until;
  }

 private:
  static constexpr unsigned kTickShift = 16;
  static constexpr unsigned kSlotBits = 6;
  static constexpr std::size_t kSlots = std::size_t{1} << kSlotBits;
  static constexpr std::size_t kLevels = 7;

  struct Slot {
    std::uint64_t tick;  // its first
    std::uint16_t index;
  };

  static std::uint64_t floor_tick(Instant when) {
    const std::int64_t count = when.time_since_epoch().count();
    return count < 0 ? 0 : static_cast<std::uint64_t>(count) >> kTickShift;
  }
  TimerNode* first_of(std::uint16_t slot) {
    TimerNode& head = slots_[slot];
    return head.timer_next == &head ? nullptr : head.timer_next;
  }
  std::optional<Slot> next_slot() const;
  void link(TimerNode& node);
  void unlink(TimerNode& node);

  std::uint64_t tick_ = 0;  // all deadlines up to here have come
  std::array<std::uint64_t, kLevels> occupied_{};
  std::array<TimerNode, kLevels * kSlots> slots_;  // heads of circular lists
};

}  // namespace tideline::tcp
