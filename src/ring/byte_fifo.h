// SPDX-License-Identifier: Apache-2.0
// A byte FIFO in memory that somebody else provides. One thread writes and one reads, maybe in two
// processes: the indices are atomic, each on a cache line of its own. The other side's index is not
// trusted: what is impossible is brought into range.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bits.h"

namespace tideline::ring {

// Counted from the FIFO's beginning, and never reset. Each line is one side's.
struct FifoIndices {
  static constexpr std::uint64_t kNoMark = UINT64_MAX;

  alignas(kCacheLine) std::atomic<std::uint64_t> written{0};
  // The writer's: the urgent byte (RFC 6093), known before it is there; and one that was, when the
  // reader had come to it and the next one took its place.
  std::atomic<std::uint64_t> mark{kNoMark};
  std::atomic<std::uint64_t> mark_before{kNoMark};
  alignas(kCacheLine) std::atomic<std::uint64_t> consumed{0};
  // The reader's: the urgent byte that was read apart from the others.
  std::atomic<std::uint64_t> mark_read{kNoMark};
  // The reader wants no byte beyond, though there may be room; and is glad of more while less than
  // this is written.
  std::atomic<std::uint64_t> wanted{UINT64_MAX};
  std::atomic<std::uint64_t> hungry_until{UINT64_MAX};

  void want(std::uint64_t end, std::uint64_t hungry_end) {
    hungry_until.store(hungry_end, std::memory_order_relaxed);
    wanted.store(end, std::memory_order_release);
  }
  // Before the byte is written.
  void set_mark(std::uint64_t offset) {
    const std::uint64_t before = mark.load(std::memory_order_relaxed);
    if (before == consumed.load(std::memory_order_acquire)) {
      mark_before.store(before, std::memory_order_relaxed);
    }
    mark.store(offset, std::memory_order_release);
  }
  void forget_marks() {
    mark.store(kNoMark, std::memory_order_relaxed);
    mark_before.store(kNoMark, std::memory_order_relaxed);
    mark_read.store(kNoMark, std::memory_order_relaxed);
  }
  // Of the writer.
  bool is_hungry() const {
    return written.load(std::memory_order_relaxed) < hungry_until.load(std::memory_order_acquire);
  }
  std::size_t wanted_of(std::size_t room) const {
    const std::uint64_t end = wanted.load(std::memory_order_acquire);
    const std::uint64_t at = written.load(std::memory_order_relaxed);
    return end > at ? static_cast<std::size_t>(std::min<std::uint64_t>(room, end - at)) : 0;
  }
};

class ByteFifo {
 public:
  // Both outlive the FIFO. The size is a power of two.
  ByteFifo(std::span<std::byte> memory, FifoIndices& indices);

  std::size_t capacity() const { return memory_.size(); }
  // Writer.
  std::size_t writable() const;
  std::size_t write(std::span<const std::byte> bytes);  // how many fitted
  std::size_t wanted() const { return indices_.wanted_of(writable()); }
  bool is_hungry() const { return indices_.is_hungry(); }
  void set_mark(std::uint64_t offset) { indices_.set_mark(offset); }
  // Reader.
  std::size_t readable() const;
  std::size_t read(std::span<std::byte> bytes);  // how many there were
  void want(std::uint64_t end, std::uint64_t hungry_end) { indices_.want(end, hungry_end); }
  std::uint64_t mark() const { return indices_.mark.load(std::memory_order_acquire); }

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
