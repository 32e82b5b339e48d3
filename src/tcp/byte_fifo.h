// SPDX-License-Identifier: Apache-2.0
// The two ends of a byte FIFO as TCP uses them. Thread: the worker's; the program may be at the
// FIFO's other end on any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ring/byte_fifo.h"
#include "tcp/buffers.h"

namespace tideline::tcp {

using ring::ByteFifo;
using ring::FifoIndices;

// TCP reads from it.
class OutgoingFifo final : public SendBuffer {
 public:
  explicit OutgoingFifo(ByteFifo& fifo) : fifo_(fifo) {}

  std::uint64_t end() const override { return fifo_.written(); }
  std::span<const std::byte> at(std::uint64_t offset, std::size_t most) const override {
    return fifo_.piece(offset, most);
  }
  void release(std::uint64_t offset) override;
  void want_unsent(std::uint64_t end, std::uint64_t hungry_end) override {
    fifo_.want(end, hungry_end);
  }
  std::uint64_t record_end(std::uint64_t offset) const override;
  std::uint64_t urgent_end() const override {
    const std::uint64_t mark = fifo_.mark();
    return mark < fifo_.written() ? mark + 1 : 0;
  }
  // The last byte that was written is.
  void mark_urgent() { fifo_.set_mark(fifo_.written() - 1); }
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
  std::uint64_t room_for_copy(std::uint64_t /*end*/) override { return limit(); }
  void put_copy(std::uint64_t offset, std::span<const std::byte> from,
                packet::PassCounter& passes) override;
  void mark_urgent(std::uint64_t offset) override { fifo_.set_mark(offset); }
  void publish(std::uint64_t end) override { fifo_.set_written(end); }

 private:
  ByteFifo& fifo_;
};

}  // namespace tideline::tcp
