// SPDX-License-Identifier: Apache-2.0
#include "api/shared_heap.h"

#include <algorithm>

namespace tideline::api {

// The first room that suffices: there are few pieces, and the lowest were used last.
std::span<std::byte> SharedHeap::take(std::size_t size) {
  const std::size_t grains = (size + kGrain - 1) / kGrain;
  std::size_t free = 0;
  for (std::size_t at = 0; at < taken_.size() && grains > 0; ++at) {
    free = taken_[at] ? 0 : free + 1;
    if (free < grains) continue;
    const std::size_t first = at + 1 - grains;
    for (std::size_t grain = first; grain <= at; ++grain) taken_[grain] = true;
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
  }
  return true;
}

}  // namespace tideline::api
