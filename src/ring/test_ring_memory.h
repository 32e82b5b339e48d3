// SPDX-License-Identifier: Apache-2.0
// For tests: a ring, and the memory that it lies in.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "base/bits.h"

namespace tideline::ring {

template <typename Ring>
struct RingMemory {
  explicit RingMemory(std::size_t capacity)
      : lines(Ring::bytes(capacity) / kCacheLine),
        ring(Ring::create(reinterpret_cast<std::byte*>(lines.data()), capacity)) {}

  struct alignas(kCacheLine) Line {
    std::array<std::byte, kCacheLine> bytes;
  };
  std::vector<Line> lines;
  Ring ring;
};

}  // namespace tideline::ring
