// SPDX-License-Identifier: Apache-2.0
// A bounded ring with one producer and one consumer, in process or in shared memory, with bursts.
//
//   offset 0    tail   items ever pushed; written by the producer only
//   offset 64   head   items ever popped; written by the consumer only
//   offset 128  slots  capacity x T, item i in slot i mod capacity
//
// Both indices only grow (64 bits never wrap). Each end keeps a private copy of the other's index
// and looks at the shared one only when the copy says full or empty: a burst costs one transfer of
// each line, not one per item.
//
// The ends trust each other not to corrupt the indices; what crosses a trust boundary checks before
// it uses. Thread: one for the producer, one for the consumer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

#include "base/bits.h"
#include "base/check.h"
#include "ring/memory.h"

namespace tideline::ring {

template <typename Memory = StdMemory>
struct SpscIndices {
  alignas(kCacheLine) typename Memory::template Atomic<std::uint64_t> tail{0};
  alignas(kCacheLine) typename Memory::template Atomic<std::uint64_t> head{0};
};

// Where a ring lies: what both ends are made from. Copy it freely; it owns nothing.
template <typename T, typename Memory = StdMemory>
struct SpscRing {
  static_assert(std::is_trivially_copyable_v<T>, "items are copied between address spaces");

  SpscIndices<Memory>* indices = nullptr;
  T* slots = nullptr;
  std::size_t capacity = 0;  // a power of two

  // Bytes of memory that a ring takes.
  static constexpr std::size_t bytes(std::size_t capacity) {
    // NOLINTNEXTLINE(bugprone-sizeof-expression): items may be pointers
    return sizeof(SpscIndices<Memory>) + align_up(capacity * sizeof(T), kCacheLine);
  }

  // Lays out an empty ring in `memory` (bytes(capacity) long, cache-line aligned).
  static SpscRing create(std::byte* memory, std::size_t capacity) {
    SpscRing ring = attach(memory, capacity);
    ::new (static_cast<void*>(memory)) SpscIndices<Memory>();
    std::uninitialized_value_construct_n(ring.slots, capacity);
    return ring;
  }

  // The ring that create() has laid out there, perhaps in another process.
  static SpscRing attach(std::byte* memory, std::size_t capacity) {
    CHECK(is_power_of_two(capacity), "capacity {}", capacity);
    return {.indices = reinterpret_cast<SpscIndices<Memory>*>(memory),
            .slots = reinterpret_cast<T*>(memory + sizeof(SpscIndices<Memory>)),
            .capacity = capacity};
  }
};

template <typename T, typename Memory = StdMemory>
class SpscProducer {
 public:
  explicit SpscProducer(SpscRing<T, Memory> ring)
      : ring_(ring),
        tail_(ring.indices->tail.load(std::memory_order_relaxed)),
        head_(ring.indices->head.load(std::memory_order_acquire)) {}

  // Pushes as many of `items` as there is room for, in order, and makes them visible at once.
  // Returns how many.
  std::size_t push_burst(std::span<const T> items) {
    const std::size_t count = std::min(items.size(), room(items.size()));
    for (std::size_t i = 0; i < count; ++i) {
      ring_.slots[(tail_ + i) & (ring_.capacity - 1)] = items[i];
    }
    if (count == 0) return 0;
    tail_ += count;
    // Release: the slots are written before the index says so.
    ring_.indices->tail.store(tail_, std::memory_order_release);
    return count;
  }

  bool push(const T& item) { return push_burst({&item, 1}) == 1; }

  bool full() { return room(1) == 0; }

 private:
  // Free slots, at least `wanted` if there are so many: looks at the shared index only if the copy
  // is not enough.
  std::size_t room(std::size_t wanted) {
    std::size_t free = ring_.capacity - static_cast<std::size_t>(tail_ - head_);
    if (free < wanted) {
      // Acquire: the consumer has finished reading the slots that it gives back.
      head_ = ring_.indices->head.load(std::memory_order_acquire);
      free = ring_.capacity - static_cast<std::size_t>(tail_ - head_);
    }
    return free;
  }

  SpscRing<T, Memory> ring_;
  std::uint64_t tail_;
  std::uint64_t head_;  // what was seen of the consumer's index
};

template <typename T, typename Memory = StdMemory>
class SpscConsumer {
 public:
  explicit SpscConsumer(SpscRing<T, Memory> ring)
      : ring_(ring),
        head_(ring.indices->head.load(std::memory_order_relaxed)),
        tail_(ring.indices->tail.load(std::memory_order_acquire)) {}

  // Pops up to items.size() items into `items`, in order, and gives their slots back at once.
  // Returns how many.
  std::size_t pop_burst(std::span<T> items) {
    const std::size_t count = std::min(items.size(), available(items.size()));
    for (std::size_t i = 0; i < count; ++i) {
      items[i] = ring_.slots[(head_ + i) & (ring_.capacity - 1)];
    }
    if (count == 0) return 0;
    head_ += count;
    // Release: the slots are read before the producer may overwrite them.
    ring_.indices->head.store(head_, std::memory_order_release);
    return count;
  }

  bool pop(T& item) { return pop_burst({&item, 1}) == 1; }

  bool empty() { return available(1) == 0; }

 private:
  std::size_t available(std::size_t wanted) {
    std::size_t count = static_cast<std::size_t>(tail_ - head_);
    if (count < wanted) {
      tail_ = ring_.indices->tail.load(std::memory_order_acquire);
      count = static_cast<std::size_t>(tail_ - head_);
    }
    return count;
  }

  SpscRing<T, Memory> ring_;
  std::uint64_t head_;
  std::uint64_t tail_;  // what was seen of the producer's index
};

}  // namespace tideline::ring
