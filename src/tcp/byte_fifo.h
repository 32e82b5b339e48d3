// SPDX-License-Identifier: Apache-2.0
// A byte FIFO in memory that somebody else provides, and its two ends as TCP uses them. One thread
// writes and one reads, maybe in two processes: the indices are atomic, each on a cache line of its
// own. The other side's index is not trusted: what is impossible is brought into range.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bits.h"
#include "tcp/buffers.h"

namespace tideline::tcp {

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

// TCP reads from it.
class OutgoingFifo final : public SendBuffer {
 public:
  explicit OutgoingFifo(ByteFifo& fifo) : fifo_(fifo) {}

  std::uint64_t end() const override { return fifo_.written(); }
  std::span<const std::byte> at(std::uint64_t offset, std::size_t most) const override {
    return fifo_.piece(offset, most);
  }
  void release(std::uint64_t offset) override;
  std::uint64_t record_end(std::uint64_t offset) const override;
  bool is_full() const override { return full_; }
  void set_full(bool full) { full_ = full; }
  // What was written so far is a record. Of those that are not yet acknowledged the first sixteen
  // are kept apart.
  void end_record();

 private:
  ByteFifo& fifo_;
  std::array<std::uint64_t, 16> records_{};  // their ends, the earliest first
  std::size_t record_count_ = 0;
  bool full_ = false;
};

// TCP writes to it, what came out of order behind a hole.
class IncomingFifo final : public ReceiveBuffer {
 public:
  explicit IncomingFifo(ByteFifo& fifo) : fifo_(fifo) {}

  std::uint64_t limit() const override { return fifo_.consumed() + fifo_.capacity(); }
  std::uint64_t consumed() const override { return fifo_.consumed(); }
  bool put(std::uint64_t offset, packet::PacketPtr payload, packet::PassCounter& passes) override;
  void publish(std::uint64_t end) override { fifo_.set_written(end); }

 private:
  ByteFifo& fifo_;
};

}  // namespace tideline::tcp
