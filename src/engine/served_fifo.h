// SPDX-License-Identifier: Apache-2.0
// A byte FIFO whose other end is a program's, as the engine has it. The engine's own index and the
// FIFO's places are private and shown in the page; the program's index is believed as far as it is
// possible, and never goes back. docs/queue-pair.md, "FIFOs that move".
//
// Thread: the worker's.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/family_memory.h"
#include "queue/socket_page.h"

namespace tideline::engine {

// Offsets count from its beginning. All bytes before from_ lie in the old ring, the others in the
// new one; both sizes are powers of two.
class ServedFifo {
 public:
  // A new one, of `size` bytes. False: there is no memory. All outlive it, until close().
  bool open(FamilyMemory& memory, queue::FifoPlaces& shown, ring::FifoIndices& indices,
            std::size_t size);
  void close();
  bool is_open() const { return new_.size != 0; }

  // Of the newest ring.
  std::size_t size() const { return new_.size; }
  std::uint64_t written() const { return written_; }
  std::uint64_t consumed() const { return consumed_; }
  std::size_t used() const { return static_cast<std::size_t>(written_ - consumed_); }
  // Bytes before it have room.
  std::uint64_t limit() const { return std::max(from_, consumed_) + new_.size; }
  std::size_t room() const { return static_cast<std::size_t>(limit() - written_); }
  std::span<std::byte> piece(std::uint64_t offset, std::size_t most) const;
  void copy_in(std::uint64_t offset, std::span<const std::byte> from) const;
  void copy_out(std::uint64_t offset, std::span<std::byte> to) const;

  // The program writes. Takes its index; false if that is impossible, and nothing was taken.
  bool refresh_written() const;
  // The engine reads.
  void set_consumed(std::uint64_t consumed);

  // The program reads.
  bool refresh_consumed();
  // The engine writes.
  void set_written(std::uint64_t written);

  // Of what the program has written, up to the byte that it called urgent last; 0: none.
  std::uint64_t urgent_end() const {
    const std::uint64_t mark = indices_->mark.load(std::memory_order_relaxed);
    return mark < written_ ? mark + 1 : 0;
  }
  void set_mark(std::uint64_t offset) { indices_->set_mark(offset); }
  // No byte beyond `end` is wanted; more is while less than `hungry_end` is written.
  void want(std::uint64_t end, std::uint64_t hungry_end);
  bool is_hungry() const { return written_ < hungry_until_; }

  // It still has bytes in an old ring, and cannot grow.
  bool is_moving() const { return old_.size != 0; }
  // Whether it may: others of the family have what they need.
  bool may_grow() const { return !is_moving() && !memory_->is_short(); }
  // What has no room now goes into a ring of `size` bytes, or more. False: it moves already, or
  // there is no memory.
  bool grow(std::size_t size);
  // Of an empty one, that the program is kept out of: what comes goes into a ring of `size`. False:
  // it is not empty, or there is no memory.
  bool shrink(std::size_t size);

 private:
  void settle() {
    if (old_.size != 0 && consumed_ >= from_) give_old();
  }
  void give_old();

  FamilyMemory* memory_ = nullptr;
  queue::FifoPlaces* shown_ = nullptr;
  ring::FifoIndices* indices_ = nullptr;
  queue::FifoPlace old_;
  queue::FifoPlace new_;
  std::uint64_t from_ = 0;
  unsigned ring_ = 0;  // the new one's, of `shown_`
  // What is known of the other side's index, at every look: mutable for that.
  mutable std::uint64_t written_ = 0;
  std::uint64_t consumed_ = 0;
  std::uint64_t hungry_until_ = UINT64_MAX;
};

}  // namespace tideline::engine
