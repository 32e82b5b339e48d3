// SPDX-License-Identifier: Apache-2.0
// A byte FIFO in memory that somebody else provides. One thread writes and one reads, maybe in two
// processes: the indices are atomic, each on a cache line of its own. The other side's index is not
// trusted: what is impossible is brought into range.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bits.h"

namespace tideline::ring {

// Counted from the FIFO's beginning, and never reset.
struct FifoIndices {
  alignas(kCacheLine) std::atomic<std::uint64_t> written{0};
  alignas(kCacheLine) std::atomic<std::uint64_t> consumed{0};
};

class ByteFifo {
 public:
  // Both outlive the FIFO. The size is a power of two.
  ByteFifo(std::span<std::byte> memory, FifoIndices& indices);

  std::size_t capacity() const { return memory_.size(); }
  // Writer.
  std::size_t writable() const;
  std::size_t write(std::span<const std::byte> bytes);  // how many fitted
  // Reader.
  std::size_t readable() const;
  std::size_t read(std::span<std::byte> bytes);  // how many there were

  std::uint64_t written() const;   // at most capacity() beyond consumed()
  std::uint64_t consumed() const;  // at most written()
  void set_written(std::uint64_t end) { indices_.written.store(end, std::memory_order_release); }
  void set_consumed(std::uint64_t end) { indices_.consumed.store(end, std::memory_order_release); }
  // The piece that begins at `offset` and ends at the memory's end at the latest.
  std::span<std::byte> piece(std::uint64_t offset, std::size_t most) const;

 private:
  std::span<std::byte> memory_;
  FifoIndices& indices_;
};

}  // namespace tideline::ring
