// SPDX-License-Identifier: Apache-2.0
#include "packet/pool.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace tideline::packet {
namespace {

std::size_t ring_capacity(const PoolOptions& options) {
  return std::max<std::size_t>(2, std::bit_ceil(options.segments + options.loans));
}

}  // namespace

Result<std::unique_ptr<Pool>> Pool::create(const PoolOptions& options) {
  auto memory =
      PoolMemory::create(options.name, options.segments * kSegmentSize, options.huge_pages);
  if (!memory) return fail(std::move(memory.error()));
  return std::unique_ptr<Pool>(new Pool(options, std::move(*memory)));
}

Pool::Pool(const PoolOptions& options, PoolMemory memory)
    : memory_(std::move(memory)),
      slots_(options.segments + options.loans),
      segments_{.packets = std::vector<Packet*>(options.segments)},
      loans_{.packets = std::vector<Packet*>(options.loans)},
      ring_memory_(ReturnRing::bytes(ring_capacity(options)) / sizeof(Line)),
      returns_(ReturnRing::create(reinterpret_cast<std::byte*>(ring_memory_.data()),
                                  ring_capacity(options))) {
  // Backwards, so that the first packets lie at the begin.
  for (std::size_t i = slots_.size(); i-- > 0;) {
    Packet& slot = slots_[i];
    slot.pool_ = this;
    if (i >= options.segments) {
      loans_.push(&slot);
      continue;
    }
    slot.begin_ = memory_.mapping.data() + i * kSegmentSize;
    slot.capacity_ = kSegmentSize;
    segments_.push(&slot);
  }
}

Pool::~Pool() {
  adopt();
  reclaim();
  CHECK(in_use() == 0, "{} segments are still in use", in_use());
}

// Whether `stack` has `count` descriptors, after taking back what died elsewhere if need be.
bool Pool::ensure(FreeStack& stack, std::size_t count) {
  if (stack.count >= count) [[likely]]
    return true;
  reclaim();
  if (stack.count >= count) return true;
  ++stats_.exhausted;
  return false;
}

PacketPtr Pool::take_segment(std::size_t headroom) {
  Packet* packet = segments_.pop();
  packet->data_ = packet->begin_ + headroom;
  packet->size_ = 0;
  packet->next_ = nullptr;
  packet->meta_ = {};
  packet->total_ = 0;
  packet->segments_ = 1;
  packet->last_ = packet;
  packet->references_ = 0;
  return PacketPtr(packet);
}

PacketPtr Pool::get() {
  if (!ensure(segments_, 1)) return nullptr;
  return take_segment(kHeadroom);
}

std::size_t Pool::get_burst(std::span<PacketPtr> packets) {
  ensure(segments_, packets.size());
  const std::size_t count = std::min(packets.size(), segments_.count);
  for (std::size_t i = 0; i < count; ++i) packets[i] = take_segment(kHeadroom);
  return count;
}

PacketPtr Pool::get_chain(std::size_t size) {
  const std::size_t beyond = size - std::min(size, kSegmentSize - kHeadroom);
  const std::size_t count = 1 + (beyond + kSegmentSize - 1) / kSegmentSize;
  if (!ensure(segments_, count)) return nullptr;
  PacketPtr packet = take_segment(kHeadroom);
  packet->append(size - beyond);
  for (std::size_t left = beyond; left > 0;) {
    PacketPtr next = take_segment(0);
    const std::size_t part = std::min(left, kSegmentSize);
    next->append(part);
    packet->append(std::move(next));
    left -= part;
  }
  return packet;
}

PacketPtr Pool::lend(const Loan& loan) {
  CHECK(loan.release != nullptr);
  if (!ensure(loans_, 1)) return nullptr;
  Packet* packet = loans_.pop();
  // The only place where constness is shed; Segment::writable and the room functions refuse
  // borrowed memory.
  packet->begin_ = const_cast<std::byte*>(loan.memory.data());
  packet->data_ = packet->begin_;
  packet->size_ = static_cast<std::uint32_t>(loan.memory.size());
  packet->capacity_ = packet->size_;
  packet->release_ = loan.release;
  packet->context_ = loan.context;
  packet->stands_ = loan.stands;
  packet->next_ = nullptr;
  packet->meta_ = {};
  packet->total_ = packet->size_;
  packet->segments_ = 1;
  packet->last_ = packet;
  packet->references_ = 0;
  return PacketPtr(packet);
}

void Pool::put(Packet* packet) noexcept {
  for (Segment* segment = packet; segment != nullptr;) {
    Segment* next = segment->next_;
    put_segment(segment);
    segment = next;
  }
}

void Pool::put_segment(Segment* segment) noexcept {
  Pool& pool = *segment->pool_;
  if (pool.owner_.load(std::memory_order_relaxed) == &thread_tag) [[likely]] {
    pool.restore(segment);
    return;
  }
  const bool pushed = pool.returns_.push(segment);
  CHECK(pushed, "a segment was returned twice");
}

void Pool::restore(Segment* segment) {
  auto* packet = static_cast<Packet*>(segment);
  if (!packet->borrowed()) [[likely]] {
    segments_.push(packet);
    return;
  }
  const Loan loan{.memory = {packet->begin_, packet->capacity_},
                  .release = std::exchange(packet->release_, nullptr),
                  .context = packet->context_};
  packet->stands_ = nullptr;
  // First the descriptor, then the callback: it may free or lend more.
  loans_.push(packet);
  loan.release(loan.context, loan.memory);
}

void Pool::reclaim() {
  std::array<Segment*, Burst::kCapacity> segments;  // not zeroed: this is asked every turn
  for (;;) {
    const std::size_t count = returns_.pop_burst(segments);
    if (count == 0) return;
    stats_.foreign_returns += count;
    for (std::size_t i = 0; i < count; ++i) restore(segments[i]);
  }
}

}  // namespace tideline::packet
