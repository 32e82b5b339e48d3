// SPDX-License-Identifier: Apache-2.0
#include "proofs/segment/arena.h"

#include "base/bits.h"
#include "base/check.h"

namespace proofs::segment {

std::size_t ArenaShape::bytes() const {
  const std::size_t bytes = small_blocks * kBlockBytes[0] + large_blocks * kBlockBytes[1];
  return tideline::align_up(
      bytes, bytes < tideline::kHugePageSize ? tideline::kPageSize : tideline::kHugePageSize);
}

Arena::Arena(const ArenaShape& shape) {
  const std::array<std::uint32_t, 2> counts = {shape.small_blocks, shape.large_blocks};
  std::uint64_t offset = 0;
  for (std::size_t kind = 0; kind < counts.size(); ++kind) {
    free_[kind].resize(counts[kind]);
    // Filled from the back, so that the lowest block goes first.
    for (std::size_t i = counts[kind]; i-- > 0; offset += kBlockBytes[kind]) {
      free_[kind][i] = offset;
    }
  }
}

std::optional<Block> Arena::take(std::size_t length, BlocksHeld& held) {
  const BlockClass kind = class_for(length);
  const auto index = static_cast<std::size_t>(kind);
  std::vector<std::uint64_t>& free = free_[index];
  if (free.empty() || held[index] >= free.size()) return std::nullopt;
  const Block block{free.back(), kind};
  free.pop_back();
  ++held[index];
  return block;
}

void Arena::give_back(Block block, BlocksHeld& held) {
  const auto index = static_cast<std::size_t>(block.kind);
  CHECK(held[index] > 0);
  --held[index];
  free_[index].push_back(block.offset);
}

}  // namespace proofs::segment
