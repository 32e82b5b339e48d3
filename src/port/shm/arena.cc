// SPDX-License-Identifier: Apache-2.0
#include "port/shm/arena.h"

#include <algorithm>
#include <cstdint>

#include "base/bits.h"
#include "base/check.h"

namespace tideline::port::shm {

std::size_t ArenaShape::bytes() const {
  const std::size_t bytes = small_blocks * kBlockBytes[0] + large_blocks * kBlockBytes[1];
  return align_up(bytes, bytes < kHugePageSize ? kPageSize : kHugePageSize);
}

std::uint64_t Arena::FreeList::take(BlockOrder order) {
  --count;
  if (order == BlockOrder::kLastFreedFirst) return offsets[(first + count) % offsets.size()];
  const std::uint64_t offset = offsets[first];
  first = (first + 1) % offsets.size();
  return offset;
}

void Arena::FreeList::put(std::uint64_t offset) {
  CHECK(count < offsets.size());
  offsets[(first + count) % offsets.size()] = offset;
  ++count;
}

Arena::Arena(const ArenaShape& shape) : order_(shape.order) {
  const std::array<std::uint32_t, 2> counts = {shape.small_blocks, shape.large_blocks};
  std::uint64_t offset = 0;
  for (std::size_t kind = 0; kind < counts.size(); ++kind) {
    free_[kind].offsets.resize(counts[kind]);
    for (std::uint32_t i = 0; i < counts[kind]; ++i, offset += kBlockBytes[kind]) {
      free_[kind].put(offset);
    }
  }
}

std::optional<Block> Arena::take(std::size_t length, BlocksHeld& held) {
  const BlockClass kind = class_for(length);
  const auto index = static_cast<std::size_t>(kind);
  FreeList& free = free_[index];
  if (free.count == 0 || held[index] >= free.count) return std::nullopt;
  ++held[index];
  return Block{free.take(order_), kind};
}

// Each block taken makes one more held and one less left over, so they meet half way.
std::size_t Arena::room(const BlocksHeld& held) const {
  std::size_t least = SIZE_MAX;
  for (std::size_t kind = 0; kind < free_.size(); ++kind) {
    const std::size_t count = free_[kind].count;
    least = std::min(least, (count - std::min<std::size_t>(count, held[kind]) + 1) / 2);
  }
  return least;
}

void Arena::give_back(Block block, BlocksHeld& held) {
  const auto index = static_cast<std::size_t>(block.kind);
  CHECK(held[index] > 0);
  --held[index];
  free_[index].put(block.offset);
}

}  // namespace tideline::port::shm
