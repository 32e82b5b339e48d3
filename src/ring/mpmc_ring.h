// SPDX-License-Identifier: Apache-2.0
// A bounded ring with any number of producers and consumers, in process or in shared memory, with
// bursts. Packet pools get their foreign frees through it; workers hand each other work.
//
//   offset 0    tail   the next ticket to push with; producers take it by compare-and-swap
//   offset 64   head   the next ticket to pop with; consumers take it by compare-and-swap
//   offset 128  slots  capacity x {sequence, T}, ticket i in slot i mod capacity
//
// A slot's sequence says whose turn it is (after D. Vyukov's bounded queue):
//
//   i             free for the push with ticket i
//   i + 1         full, for the pop with ticket i
//   i + capacity  free again, for the push of the next round
//
// A burst takes one compare-and-swap: it looks how many slots from the index on are ready, then
// claims them. What was ready stays so until somebody else moves the index, and then the swap
// fails. Tickets have 64 bits and never come again, so there is no ABA.
//
// It is not lock-free: a producer that stops between its claim and its last slot holds up the
// consumers that reach the slot. Ends trust each other; what crosses a trust boundary checks.
// Thread: any number on both ends.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <type_traits>

#include "base/bits.h"
#include "base/check.h"
#include "ring/memory.h"

namespace tideline::ring {

// Copy it freely: it says where a ring lies, and owns nothing.
template <typename T, typename Memory = StdMemory>
class MpmcRing {
  static_assert(std::is_trivially_copyable_v<T>, "items are copied between address spaces");

 public:
  // Bytes of memory that a ring takes.
  static constexpr std::size_t bytes(std::size_t capacity) {
    return sizeof(Indices) + align_up(capacity * sizeof(Slot), kCacheLine);
  }

  // Lays out an empty ring in `memory` (bytes(capacity) long, cache-line aligned). `capacity` is a
  // power of two, at least 2: with one slot, full and free-again are the same number.
  static MpmcRing create(std::byte* memory, std::size_t capacity) {
    MpmcRing ring = attach(memory, capacity);
    ::new (static_cast<void*>(memory)) Indices();
    for (std::size_t i = 0; i < capacity; ++i) {
      ::new (static_cast<void*>(&ring.slots_[i])) Slot(i);
    }
    return ring;
  }

  // The ring that create() has laid out there, perhaps in another process.
  static MpmcRing attach(std::byte* memory, std::size_t capacity) {
    CHECK(is_power_of_two(capacity) && capacity >= 2, "capacity {}", capacity);
    return MpmcRing(reinterpret_cast<Indices*>(memory),
                    reinterpret_cast<Slot*>(memory + sizeof(Indices)), capacity);
  }

  std::size_t capacity() const { return mask_ + 1; }

  // Pushes as many of `items` as there is room for, next to each other and in order. Returns how
  // many.
  std::size_t push_burst(std::span<const T> items) {
    const Claim claim = claim_slots(indices_->tail, items.size(), 0);
    for (std::size_t i = 0; i < claim.count; ++i) {
      Slot& slot = slots_[(claim.ticket + i) & mask_];
      slot.value = items[i];
      // Release: the value is written before the sequence says so.
      slot.sequence.store(claim.ticket + i + 1, std::memory_order_release);
    }
    return claim.count;
  }

  bool push(const T& item) { return push_burst({&item, 1}) == 1; }

  // Pops up to items.size() items, those that were pushed next to each other in their order.
  // Returns how many.
  std::size_t pop_burst(std::span<T> items) {
    const Claim claim = claim_slots(indices_->head, items.size(), 1);
    for (std::size_t i = 0; i < claim.count; ++i) {
      Slot& slot = slots_[(claim.ticket + i) & mask_];
      items[i] = slot.value;
      // Release: the value is read before a producer may overwrite it.
      slot.sequence.store(claim.ticket + i + capacity(), std::memory_order_release);
    }
    return claim.count;
  }

  bool pop(T& item) { return pop_burst({&item, 1}) == 1; }

  // Whether a pop would have found nothing.
  bool empty() const {
    const std::uint64_t head = indices_->head.load(std::memory_order_relaxed);
    return slots_[head & mask_].sequence.load(std::memory_order_acquire) != head + 1;
  }

 private:
  using Index = typename Memory::template Atomic<std::uint64_t>;

  struct Indices {
    alignas(kCacheLine) Index tail{0};
    alignas(kCacheLine) Index head{0};
  };
  struct Slot {
    explicit Slot(std::uint64_t first) : sequence(first) {}
    Index sequence;
    T value{};
  };
  struct Claim {
    std::uint64_t ticket;
    std::size_t count;
  };

  MpmcRing(Indices* indices, Slot* slots, std::size_t capacity)
      : indices_(indices), slots_(slots), mask_(capacity - 1) {}

  // Claims up to `wanted` tickets from `index` on, of slots whose sequence is ticket + `turn`.
  Claim claim_slots(Index& index, std::size_t wanted, std::uint64_t turn) {
    wanted = std::min(wanted, capacity());
    std::uint64_t ticket = index.load(std::memory_order_relaxed);
    for (;;) {
      std::size_t count = 0;
      while (count < wanted && sequence_of(ticket + count) == ticket + count + turn) ++count;
      if (count == 0) {
        // Nothing is ready, or others have taken it since: only in that case look again.
        const std::uint64_t again = index.load(std::memory_order_relaxed);
        if (again == ticket || wanted == 0) return {.ticket = ticket, .count = 0};
        ticket = again;
        continue;
      }
      // Relaxed: the sequences order the values; the index only tells tickets apart.
      if (index.compare_exchange_weak(ticket, ticket + count, std::memory_order_relaxed)) {
        return {.ticket = ticket, .count = count};
      }
    }
  }

  std::uint64_t sequence_of(std::uint64_t ticket) const {
    // Acquire: whoever had the slot before has finished with it.
    return slots_[ticket & mask_].sequence.load(std::memory_order_acquire);
  }

  Indices* indices_;
  Slot* slots_;
  std::size_t mask_;
};

}  // namespace tideline::ring
