// SPDX-License-Identifier: Apache-2.0
#include "port/shm/ring.h"

#include <cstring>

#include "base/check.h"

namespace tideline::port::shm {

bool RingProducer::refresh() {
  if (index_ == nullptr) return true;
  // Acquire: the consumer's reads of a block happen before its release of the index, hence before
  // this end overwrites the block.
  const std::uint64_t consumed = index_->load(std::memory_order_acquire);
  refused_ |= consumed < consumed_ || consumed > tail_;
  if (refused_) return false;
  consumed_ = consumed;
  return true;
}

void RingProducer::publish_inline(std::uint32_t length, const OffloadWords& offload) {
  CHECK(length <= kInlineBytes && has_room(), "{} bytes", length);
  publish(next(), length, offload);
}

void RingProducer::publish_reference(std::uint64_t offset, std::uint32_t length,
                                     const OffloadWords& offload) {
  CHECK(length > kInlineBytes && has_room(), "{} bytes", length);
  next().word().store(offset, std::memory_order_relaxed);
  publish(next(), length, offload);
}

void RingProducer::publish_pieces(std::span<const std::byte> head, std::span<const Piece> pieces,
                                  const OffloadWords& offload) {
  CHECK(!pieces.empty() && pieces.size() <= kMaxPieces && head.size() <= head_room(pieces.size()) &&
            has_room(),
        "{} pieces behind {} bytes", pieces.size(), head.size());
  Slot& slot = next();
  auto length = static_cast<std::uint32_t>(head.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    slot.word(i).store(std::uint64_t{pieces[i].length} << 32 | pieces[i].offset,
                       std::memory_order_relaxed);
    length += pieces[i].length;
  }
  std::memcpy(slot.frame.data() + pieces.size() * sizeof(std::uint64_t), head.data(), head.size());
  publish(slot, length, offload, static_cast<std::uint32_t>(pieces.size()));
}

void RingProducer::publish(Slot& slot, std::uint32_t length, const OffloadWords& offload,
                           std::uint32_t pieces) {
  const std::uint32_t flags = offload.flags & kOffloadFlags;
  if (flags != 0) slot.offload.store(offload.fields, std::memory_order_relaxed);
  const std::uint64_t upper =
      (std::uint64_t{pieces} << kOffloadFlagBits | flags) << kLengthBits | length;
  // Release: everything written before, in the slot and in the arena, is seen with the sequence.
  slot.head.store(upper << 32 | sequence_at(tail_), std::memory_order_release);
  ++tail_;
}

void RingConsumer::read_pieces(const Slot& slot, Frame& frame) {
  for (std::size_t i = 0; i < frame.piece_count; ++i) {
    const std::uint64_t word = slot.word(i).load(std::memory_order_relaxed);
    frame.pieces[i] = {.offset = static_cast<std::uint32_t>(word),
                       .length = static_cast<std::uint32_t>(word >> 32)};
  }
  frame.inline_frame = slot.frame.data() + frame.piece_count * sizeof(std::uint64_t);
}

void RingConsumer::tell() {
  if (owed_ == 0) return;
  // Release: all reads of the consumed frames come before.
  index_->store(head_, std::memory_order_release);
  owed_ = 0;
}

}  // namespace tideline::port::shm
