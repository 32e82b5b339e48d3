// SPDX-License-Identifier: Apache-2.0
// The two ends of a ring (layout.h). The producer owns the slots and reads the consumer's index;
// the consumer reads the slots and owns the index. Neither believes the other: a false value costs
// its author frames, and nobody else. No system calls, no clocks. Each end is for one thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "port/shm/layout.h"

namespace tideline::port::shm {

class RingProducer {
 public:
  // `slots` are zeroed, their number a power of two. Without an index page (the destination has not
  // answered yet) one ring full of frames may be sent.
  explicit RingProducer(std::span<Slot> slots) : slots_(slots) {}

  void use_index(const std::atomic<std::uint64_t>* consumed) { index_ = consumed; }

  bool has_room() const { return tail_ - consumed_ < slots_.size(); }
  std::size_t room() const { return slots_.size() - static_cast<std::size_t>(tail_ - consumed_); }
  // Reads the consumer's index. False if it names a frame that was never sent, or goes back.
  [[nodiscard]] bool refresh();
  // Whether refresh() has ever found it false.
  bool is_refused() const { return refused_; }

  // These need has_room(). An inline frame is written to body() and then published; a longer one
  // lies in the arena. Publishing makes all earlier writes visible.
  std::span<std::byte, kInlineBytes> body() { return next().frame; }
  void publish_inline(std::uint32_t length, const OffloadWords& offload);
  void publish_reference(std::uint64_t offset, std::uint32_t length, const OffloadWords& offload);
  // The head, of head_room() at most, and behind it the pieces, 1 to kMaxPieces of them.
  void publish_pieces(std::span<const std::byte> head, std::span<const Piece> pieces,
                      const OffloadWords& offload);

  std::uint64_t tail() const { return tail_; }          // frames published
  std::uint64_t consumed() const { return consumed_; }  // of these, known to be consumed

 private:
  Slot& next() { return slots_[tail_ & (slots_.size() - 1)]; }
  void publish(Slot& slot, std::uint32_t length, const OffloadWords& offload,
               std::uint32_t pieces = 0);

  std::span<Slot> slots_;
  std::uint64_t tail_ = 0;
  std::uint64_t consumed_ = 0;
  const std::atomic<std::uint64_t>* index_ = nullptr;
  bool refused_ = false;
};

class RingConsumer {
 public:
  // The frame at the head. An inline frame lies in the slot, where a hostile producer may change it
  // at any time: copy, then parse.
  struct Frame {
    std::uint32_t length = 0;
    std::uint64_t offset = 0;  // into the arena, unless is_inline
    const std::byte* inline_frame = nullptr;
    OffloadWords offload{};
    // Of a frame in pieces; inline_frame is its head then.
    std::uint8_t piece_count = 0;
    std::array<Piece, kMaxPieces> pieces{};

    bool is_inline() const { return inline_frame != nullptr; }
  };

  // `index` is zero. `lag`: see pop().
  RingConsumer(std::span<const Slot> slots, std::atomic<std::uint64_t>* index, std::uint32_t lag)
      : slots_(slots), index_(index), lag_(lag) {}

  bool has_frame() const {
    const std::uint64_t head = slot().head.load(std::memory_order_relaxed);
    return static_cast<std::uint32_t>(head) == sequence_at(head_);
  }

  std::optional<Frame> front() const {
    const Slot& at = slot();
    // Acquire: the frame's bytes, stored before the producer's release, are seen after it.
    const std::uint64_t head = at.head.load(std::memory_order_acquire);
    if (static_cast<std::uint32_t>(head) != sequence_at(head_)) return std::nullopt;
    const auto upper = static_cast<std::uint32_t>(head >> 32);
    Frame frame{.length = upper & ((1U << kLengthBits) - 1),
                .offload = {.flags = (upper >> kLengthBits) & kOffloadFlags}};
    if (frame.offload.flags != 0) {
      frame.offload.fields = at.offload.load(std::memory_order_relaxed);
    }
    frame.piece_count = (upper >> (kLengthBits + kOffloadFlagBits)) & kMaxPieces;
    if (frame.piece_count > 0) [[unlikely]] {
      read_pieces(at, frame);
    } else if (frame.length <= kInlineBytes) {
      frame.inline_frame = at.frame.data();
    } else {
      frame.offset = at.word().load(std::memory_order_relaxed);
    }
    return frame;
  }
  // The frame has been copied out, or lent. The index is stored when frames of a total `weight` of
  // `lag` are owed to it: the producer needs it only when the ring or its arena runs full, and each
  // store after a read by the producer costs both a cache miss.
  void pop(std::uint32_t weight = 1) {
    ++head_;
    owed_ += weight;
    if (owed_ >= lag_) tell();
  }
  // Stores the index now, if it is behind: for when the ring is found empty.
  void tell();
  // Asks for the line of a slot ahead; the producer may have filled it.
  void prefetch_next() const { __builtin_prefetch(&slots_[(head_ + 1) & (slots_.size() - 1)]); }

  std::uint64_t head() const { return head_; }                            // frames consumed
  std::size_t slot_index() const { return head_ & (slots_.size() - 1); }  // of the head

 private:
  const Slot& slot() const { return slots_[slot_index()]; }
  static void read_pieces(const Slot& slot, Frame& frame);

  std::span<const Slot> slots_;
  std::atomic<std::uint64_t>* index_;
  std::uint64_t head_ = 0;
  std::uint32_t owed_ = 0;
  std::uint32_t lag_;
};

}  // namespace tideline::port::shm
