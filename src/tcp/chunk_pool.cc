// SPDX-License-Identifier: Apache-2.0
#include "tcp/chunk_pool.h"

namespace tideline::tcp {

std::byte* ChunkPool::take(Use use, std::size_t held) {
  const std::size_t end = in_use_ + kChunk;
  if (end > (use == Use::kSend ? limit_ : sixteenths(15))) return nullptr;
  if (end > sixteenths(12) && held >= (end > sixteenths(14) ? kLeast : kShare)) return nullptr;
  if (free_.empty()) add_slab();
  std::byte* chunk = free_.back();
  free_.pop_back();
  in_use_ += kChunk;
  return chunk;
}

void ChunkPool::give(std::byte* chunk) {
  free_.push_back(chunk);
  in_use_ -= kChunk;
}

void ChunkPool::add_slab() {
  std::byte* slab =
      slabs_.emplace_back(std::make_unique_for_overwrite<std::byte[]>(kPerSlab * kChunk)).get();
  free_.reserve(slabs_.size() * kPerSlab);
  for (std::size_t i = kPerSlab; i > 0; --i) free_.push_back(slab + ((i - 1) * kChunk));
}

}  // namespace tideline::tcp
