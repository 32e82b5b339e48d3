// SPDX-License-Identifier: Apache-2.0
#include "tcp/chunk_pool.h"

namespace tideline::tcp {

std::byte* ChunkPool::take(Use use, std::size_t held) {
  const std::size_t end = in_use_ + kChunk;
  if (end > (use == Use::kSend ? limit_ : sixteenths(15))) return nullptr;
  if (end > sixteenths(12) && held >= (end > sixteenths(14) ? kLeast : kShare)) return nullptr;
  const bool shared = use == Use::kSend && !free_shared_.empty();
  if (!shared && free_.empty()) add_slab();
  auto& free = shared ? free_shared_ : free_;
  std::byte* chunk = free.back();
  free.pop_back();
  in_use_ += kChunk;
  return chunk;
}

void ChunkPool::give(std::byte* chunk) {
  (is_shared(chunk) ? free_shared_ : free_).push_back(chunk);
  in_use_ -= kChunk;
}

void ChunkPool::add_shared(std::span<std::byte> memory) {
  shared_ = memory.first(memory.size() / kChunk * kChunk);
  free_shared_.reserve(shared_.size() / kChunk);
  for (std::size_t at = shared_.size(); at > 0; at -= kChunk) {
    free_shared_.push_back(shared_.data() + at - kChunk);
  }
}

void ChunkPool::add_slab() {
  std::byte* slab =
      slabs_.emplace_back(std::make_unique_for_overwrite<std::byte[]>(kPerSlab * kChunk)).get();
  free_.reserve(slabs_.size() * kPerSlab);
  for (std::size_t i = kPerSlab; i > 0; --i) free_.push_back(slab + ((i - 1) * kChunk));
}

}  // namespace tideline::tcp
