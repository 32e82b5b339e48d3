// SPDX-License-Identifier: Apache-2.0
#include "api/shared_heap.h"

#include <algorithm>

namespace tideline::api {

// The first room that suffices: there are few pieces, and the lowest were used last.
std::span<std::byte> SharedHeap::take(std::size_t size) {
  const std::size_t grains = (size + kGrain - 1) / kGrain;
  if (grains == 0 || grains > free_) return {};
  std::size_t run = 0;
  for (std::size_t at = 0; at < taken_.size(); ++at) {
    run = taken_[at] ? 0 : run + 1;
    if (run < grains) continue;
    const std::size_t first = at + 1 - grains;
    for (std::size_t grain = first; grain <= at; ++grain) taken_[grain] = true;
    free_ -= grains;
    return memory_.subspan(first * kGrain, size);
  }
  return {};
}

bool SharedHeap::give(std::span<std::byte> piece) {
  if (piece.empty() || piece.data() < memory_.data() ||
      piece.data() >= memory_.data() + memory_.size()) {
    return false;
  }
  const auto offset = static_cast<std::size_t>(piece.data() - memory_.data());
  for (std::size_t at = offset; at < offset + piece.size(); at += kGrain) {
    taken_[at / kGrain] = false;
    ++free_;
  }
  return true;
}

}  // namespace tideline::api
