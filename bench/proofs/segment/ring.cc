// SPDX-License-Identifier: Apache-2.0
#include "proofs/segment/ring.h"

#include <algorithm>

#include "base/check.h"

namespace proofs::segment {

bool RingProducer::refresh() {
  if (index_ == nullptr) return true;
  // Acquire: the consumer's reads of a block happen before its release of the index, hence before
  // this end overwrites the block.
  const std::uint64_t consumed = index_->load(std::memory_order_acquire);
  if (consumed < consumed_ || consumed > tail_) return false;
  consumed_ = consumed;
  return true;
}

void RingProducer::push_inline(std::span<const std::byte> frame) {
  CHECK(frame.size() <= kInlineBytes && has_room(), "{} bytes", frame.size());
  Slot& slot = next();
  std::ranges::copy(frame, slot.frame.begin());  // an empty span may have no address
  publish(slot, static_cast<std::uint32_t>(frame.size()));
}

void RingProducer::push_reference(std::uint64_t offset, std::uint32_t length) {
  CHECK(length > kInlineBytes && has_room(), "{} bytes", length);
  Slot& slot = next();
  slot.offset.store(offset, std::memory_order_relaxed);
  publish(slot, length);
}

void RingProducer::publish(Slot& slot, std::uint32_t length) {
  // Release: everything written before, in the slot and in the arena, is seen with the sequence.
  slot.head.store(std::uint64_t{length} << 32 | sequence_at(tail_), std::memory_order_release);
  ++tail_;
}

void RingConsumer::tell() {
  if (owed_ == 0) return;
  // Release: all reads of the consumed frames come before.
  index_->store(head_, std::memory_order_release);
  owed_ = 0;
}

}  // namespace proofs::segment
