// SPDX-License-Identifier: Apache-2.0
// TCP's ends of byte FIFOs whose other ends are a program's. The engine's own index is private and
// shown in the page; the program's is believed as far as it is possible, and never goes back.
//
// Thread: the worker's.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "queue/socket_page.h"
#include "tcp/buffers.h"

namespace tideline::engine {

// One FIFO as the engine sees it. Offsets count from its beginning; the size is a power of two.
class ServedFifo {
 public:
  // A new FIFO in `memory`. Both outlive it.
  void open(std::span<std::byte> memory, ring::FifoIndices& indices);

  std::size_t capacity() const { return memory_.size(); }
  std::uint64_t written() const { return written_; }
  std::uint64_t consumed() const { return consumed_; }
  std::size_t used() const { return static_cast<std::size_t>(written_ - consumed_); }
  std::size_t room() const { return capacity() - used(); }
  std::span<std::byte> piece(std::uint64_t offset, std::size_t most) const;
  void copy_in(std::uint64_t offset, std::span<const std::byte> from) const;
  void copy_out(std::uint64_t offset, std::span<std::byte> to) const;

  // The program writes. Takes its index; false if that is impossible, and nothing was taken.
  bool refresh_written() const;
  // The engine reads.
  void set_consumed(std::uint64_t consumed);

  // The program reads.
  bool refresh_consumed() const;
  // The engine writes.
  void set_written(std::uint64_t written);

 private:
  std::span<std::byte> memory_;
  ring::FifoIndices* indices_ = nullptr;
  // What is known of the other side's index, at every look: mutable for that.
  mutable std::uint64_t written_ = 0;
  mutable std::uint64_t consumed_ = 0;
};

// TCP reads what the program writes, until it is closed.
class ServedSendBuffer final : public tcp::SendBuffer {
 public:
  explicit ServedSendBuffer(ServedFifo& fifo) : fifo_(fifo) {}

  void open() { closed_ = false; }
  // What is written from now on is not sent any more: a FIN has its place.
  void close() {
    fifo_.refresh_written();
    closed_ = true;
  }
  bool is_closed() const { return closed_; }

  std::uint64_t end() const override {
    if (!closed_) fifo_.refresh_written();
    return fifo_.written();
  }
  std::span<const std::byte> at(std::uint64_t offset, std::size_t most) const override {
    return fifo_.piece(offset, most);
  }
  void release(std::uint64_t offset) override { fifo_.set_consumed(offset); }

 private:
  ServedFifo& fifo_;
  bool closed_ = false;
};

// TCP writes what the program reads, what came out of order behind a hole.
class ServedReceiveBuffer final : public tcp::ReceiveBuffer {
 public:
  explicit ServedReceiveBuffer(ServedFifo& fifo) : fifo_(fifo) {}

  std::uint64_t limit() const override {
    fifo_.refresh_consumed();
    return fifo_.consumed() + fifo_.capacity();
  }
  std::uint64_t consumed() const override { return fifo_.consumed(); }
  [[nodiscard]] bool put(std::uint64_t offset, packet::PacketPtr payload,
                         packet::PassCounter& passes) override;
  void publish(std::uint64_t end) override { fifo_.set_written(end); }

 private:
  ServedFifo& fifo_;
};

}  // namespace tideline::engine
