// SPDX-License-Identifier: Apache-2.0
#include "tcp/timer_wheel.h"

#include <algorithm>

namespace tideline::tcp {

TimerWheel::TimerWheel() {
  for (TimerNode& head : slots_) head.timer_next = head.timer_prev = &head;
}

void TimerWheel::schedule(TimerNode& node, Instant when) {
  // Beyond the wheel's reach, some years, a deadline comes early rather than never.
  constexpr std::uint64_t kReach = (std::uint64_t{1} << (kSlotBits * kLevels)) - 1;
  const std::int64_t count = std::max<std::int64_t>(when.time_since_epoch().count(), 0);
  const std::uint64_t due =
      (static_cast<std::uint64_t>(count) + (std::uint64_t{1} << kTickShift) - 1) >> kTickShift;
  const std::uint64_t tick = std::clamp(due, tick_ + 1, tick_ + kReach / 2);
  if (node.is_scheduled()) {
    if (node.timer_tick == tick) return;
    unlink(node);
  }
  node.timer_tick = tick;
  link(node);
}

void TimerWheel::cancel(TimerNode& node) {
  if (node.is_scheduled()) unlink(node);
}

Instant TimerWheel::next_deadline() const {
  const auto slot = next_slot();
  if (!slot) return kNever;
  return Instant(Duration(static_cast<std::int64_t>(slot->tick << kTickShift)));
}

// A node's level is that of the highest bits in which its tick differs from now, so its slot lies
// ahead of now's on that level; and all of a lower level come before any of a higher one.
std::optional<TimerWheel::Slot> TimerWheel::next_slot() const {
  for (std::size_t level = 0; level < kLevels; ++level) {
    const std::size_t shift = level * kSlotBits;
    const std::size_t here = tick_ >> shift & (kSlots - 1);
    const std::uint64_t ahead =
        here == kSlots - 1 ? 0 : occupied_[level] >> (here + 1) << (here + 1);
    if (ahead == 0) continue;
    const auto slot = static_cast<std::size_t>(std::countr_zero(ahead));
    const std::uint64_t above = tick_ >> (shift + kSlotBits) << (shift + kSlotBits);
    return Slot{.tick = above | std::uint64_t{slot} << shift,
                .index = static_cast<std::uint16_t>(level * kSlots + slot)};
  }
  return std::nullopt;
}

void TimerWheel::link(TimerNode& node) {
  const std::uint64_t differs = node.timer_tick ^ tick_;
  const auto highest = static_cast<std::size_t>(63 - std::countl_zero(differs));
  const std::size_t level = std::min(highest / kSlotBits, kLevels - 1);
  const std::size_t slot = node.timer_tick >> (level * kSlotBits) & (kSlots - 1);
  node.timer_slot = static_cast<std::uint16_t>(level * kSlots + slot);
  TimerNode& head = slots_[node.timer_slot];
  node.timer_prev = head.timer_prev;
  node.timer_next = &head;
  head.timer_prev->timer_next = &node;
  head.timer_prev = &node;
  occupied_[level] |= std::uint64_t{1} << slot;
}

void TimerWheel::unlink(TimerNode& node) {
  node.timer_prev->timer_next = node.timer_next;
  node.timer_next->timer_prev = node.timer_prev;
  node.timer_next = node.timer_prev = nullptr;
  if (first_of(node.timer_slot) == nullptr) {
    occupied_[node.timer_slot / kSlots] &= ~(std::uint64_t{1} << (node.timer_slot % kSlots));
  }
}

}  // namespace tideline::tcp
