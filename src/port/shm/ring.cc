// SPDX-License-Identifier: Apache-2.0
#include "port/shm/ring.h"

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
  next().offset().store(offset, std::memory_order_relaxed);
  publish(next(), length, offload);
}

void RingProducer::publish(Slot& slot, std::uint32_t length, const OffloadWords& offload) {
  if (offload.flags != 0) slot.offload.store(offload.fields, std::memory_order_relaxed);
  const std::uint64_t upper = std::uint64_t{offload.flags} << kLengthBits | length;
  // Release: everything written before, in the slot and in the arena, is seen with the sequence.
  slot.head.store(upper << 32 | sequence_at(tail_), std::memory_order_release);
  ++tail_;
}

void RingConsumer::tell() {
  if (owed_ == 0) return;
  // Release: all reads of the consumed frames come before.
  index_->store(head_, std::memory_order_release);
  owed_ = 0;
}

}  // namespace tideline::port::shm
