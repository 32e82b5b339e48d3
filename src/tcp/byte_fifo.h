// SPDX-License-Identifier: Apache-2.0
// The two ends of a byte FIFO as TCP uses them. Thread: the worker's; the program may be at the
// FIFO's other end on any thread.
#pragma once

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
  void release(std::uint64_t offset) override { fifo_.set_consumed(offset); }

 private:
  ByteFifo& fifo_;
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
