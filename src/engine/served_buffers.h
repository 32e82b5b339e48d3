// SPDX-License-Identifier: Apache-2.0
// TCP's ends of the byte FIFOs of a stream behind queue pairs: they decide how much memory a FIFO
// has. It begins with little; it grows when it is full and TCP could use more, within what the
// program allows (SO_SNDBUF, SO_RCVBUF) and its quota; a stream that rests gives memory back.
//
// Thread: the worker's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/family_memory.h"
#include "engine/served_fifo.h"
#include "packet/packet.h"
#include "packet/pass_counter.h"
#include "tcp/buffers.h"

namespace tideline::engine {

// TCP reads what the program writes, until it is closed.
class ServedSendBuffer final : public tcp::SendBuffer {
 public:
  explicit ServedSendBuffer(ServedFifo& fifo) : fifo_(fifo) {}

  // `most`: see set_most().
  void open(std::size_t most);
  // The FIFO grows to so many bytes at the most; 0: to what is usual.
  void set_most(std::size_t most);
  // What is written from now on is not sent any more: a FIN has its place.
  void close() {
    if (fifo_.is_open()) fifo_.refresh_written();
    closed_ = true;
  }
  bool is_closed() const { return closed_; }
  // Grows if the program fills it. Whether it did.
  bool grow_if_full();
  // With the program kept out.
  void shrink();

  std::uint64_t end() const override {
    if (!closed_) fifo_.refresh_written();
    return fifo_.written();
  }
  std::span<const std::byte> at(std::uint64_t offset, std::size_t most) const override {
    return fifo_.piece(offset, most);
  }
  std::uint64_t urgent_end() const override { return fifo_.urgent_end(); }
  void release(std::uint64_t offset) override { fifo_.set_consumed(offset); }
  void want_unsent(std::uint64_t end, std::uint64_t hungry_end) override {
    fifo_.want(end, hungry_end);
  }
  void want(std::uint64_t bytes) override;

 private:
  ServedFifo& fifo_;
  bool closed_ = false;
  std::uint64_t wanted_ = 0;
  std::uint64_t most_ = 0;
};

// TCP writes what the program reads, what came out of order behind a hole. More is promised to the
// peer than there is memory: that is taken when bytes come that need it.
class ServedReceiveBuffer final : public tcp::ReceiveBuffer {
 public:
  explicit ServedReceiveBuffer(ServedFifo& fifo) : fifo_(fifo) {}

  void open(std::size_t most);
  void set_most(std::size_t most);
  // There is memory for so many bytes from now on, if there is any to be had.
  void keep_room(std::size_t bytes);
  // The size to which it shrinks.
  std::size_t least() const { return kept_; }
  // With the program kept out.
  void shrink();

  std::uint64_t limit() const override;
  std::uint64_t consumed() const override { return fifo_.consumed(); }
  [[nodiscard]] bool put(std::uint64_t offset, packet::PacketPtr payload,
                         packet::PassCounter& passes) override;
  std::uint64_t room_for_copy(std::uint64_t end) override;
  void put_copy(std::uint64_t offset, std::span<const std::byte> from,
                packet::PassCounter& passes) override;
  void mark_urgent(std::uint64_t offset) override { fifo_.set_mark(offset); }
  void publish(std::uint64_t end) override { fifo_.set_written(end); }
  void want(std::uint64_t window) override;

 private:
  bool make_room(std::uint64_t end);

  ServedFifo& fifo_;
  std::uint64_t window_ = 0;
  std::uint64_t most_ = 0;
  std::size_t kept_ = FamilyMemory::kLeastFifo;
  std::uint64_t put_end_ = 0;          // of all that was put
  mutable std::uint64_t granted_ = 0;  // the highest limit() so far
};

}  // namespace tideline::engine
