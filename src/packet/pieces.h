// SPDX-License-Identifier: Apache-2.0
// Walks the bytes of a chain, for what traverses payload. Thread: the packet's.
#pragma once

#include <algorithm>
#include <cstddef>

#include "packet/packet.h"

namespace tideline::packet {

// Calls `visit(segment, offset in segment, size)` for each piece of [offset, offset + size), which
// the chain that begins at `segment` has.
template <typename SegmentType, typename Visit>
void for_each_piece(SegmentType* segment, std::size_t offset, std::size_t size, Visit&& visit) {
  for (; size > 0; segment = segment->next()) {
    const std::size_t length = segment->bytes().size();
    if (offset >= length) {
      offset -= length;
      continue;
    }
    const std::size_t part = std::min(size, length - offset);
    visit(*segment, offset, part);
    offset = 0;
    size -= part;
  }
}

}  // namespace tideline::packet
