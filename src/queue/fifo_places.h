// SPDX-License-Identifier: Apache-2.0
// Where the bytes of a FIFO lie, while it may move: docs/queue-pair.md, "FIFOs that move".
//
// A FIFO has one ring of memory, or two while it moves to a larger or smaller one: a byte is in the
// ring that begins last among those that begin at its offset or before.
//
//   ring of 16 KiB   |====|              bytes 0 .. 20,000
//   ring of 256 KiB       |==========    bytes from 20,000 on
//
// The engine changes it, and only the place of a ring of which all was consumed. Whoever has seen
// an index beyond a ring's beginning (acquire) sees that ring.
//
// Thread: the engine's worker changes it, any looks.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace tideline::queue {

// A ring's place in the family's memory: a power of two of bytes, at least 4 KiB, at a multiple of
// its size.
struct FifoPlace {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;  // 0: none

  // The logarithm of the size lies in the offset's low bits; none is 0.
  constexpr std::uint64_t word() const {
    return size == 0 ? 0 : offset | static_cast<unsigned>(std::countr_zero(size));
  }
  static constexpr FifoPlace of(std::uint64_t word) {
    const std::uint64_t log = word & 0xfff;
    if (log == 0 || log > 31) return {};
    return {.offset = word & ~std::uint64_t{0xfff}, .size = std::uint32_t{1} << log};
  }
};

struct FifoPlaces {
  static constexpr std::uint64_t kUnused = UINT64_MAX;

  struct Ring {
    std::atomic<std::uint64_t> from{kUnused};
    std::atomic<std::uint64_t> place{0};  // FifoPlace::word()
  };
  std::array<Ring, 2> rings;

  // Engine. The ring that begins at `from`, in the place of the one that is not needed any more.
  void show(unsigned ring, std::uint64_t from, const FifoPlace& place) {
    rings[ring].place.store(place.word(), std::memory_order_relaxed);
    rings[ring].from.store(from, std::memory_order_release);
  }
  // The ring that began last.
  unsigned newest() const {
    const std::uint64_t first = rings[0].from.load(std::memory_order_acquire);
    const std::uint64_t second = rings[1].from.load(std::memory_order_acquire);
    return second != kUnused && (first == kUnused || second > first) ? 1 : 0;
  }
};
static_assert(sizeof(FifoPlaces) == 32);

}  // namespace tideline::queue
