// SPDX-License-Identifier: Apache-2.0
// Walks once through the chain of a payload that holds many datagrams. One thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include "packet/packet.h"
#include "wire/view.h"

namespace tideline::app::blast {

// Over packet::Segment, to write too, or const packet::Segment.
template <typename SegmentType>
class ChainWalk {
 public:
  explicit ChainWalk(SegmentType& first) : segment_(&first) {}

  // Each of the next `size` bytes, which the chain has, in pieces: visit(pointer, size).
  template <typename Visit>
  void next(std::size_t size, Visit&& visit) {
    while (size > 0) {
      const std::size_t here = segment_->bytes().size() - offset_;
      if (here == 0) {
        segment_ = segment_->next();
        offset_ = 0;
        continue;
      }
      const std::size_t part = std::min(size, here);
      visit(here_pointer(), part);
      offset_ += part;
      size -= part;
    }
  }

  void skip(std::size_t size) {
    next(size, [](auto* /*at*/, std::size_t /*part*/) {});
  }

  void write(wire::Bytes from) {
    const std::byte* source = from.data();
    next(from.size(), [&source](std::byte* at, std::size_t part) {
      std::memcpy(at, source, part);
      source += part;
    });
  }

  // The next `size` bytes, where they lie or, if they are scattered, gathered in `scratch`.
  wire::Bytes read(std::size_t size, std::byte* scratch) {
    if (segment_->bytes().size() - offset_ >= size) [[likely]] {
      const wire::Bytes here(here_pointer(), size);
      offset_ += size;
      return here;
    }
    std::byte* target = scratch;
    next(size, [&target](const std::byte* at, std::size_t part) {
      std::memcpy(target, at, part);
      target += part;
    });
    return {scratch, size};
  }

 private:
  auto* here_pointer() const {
    if constexpr (std::is_const_v<SegmentType>) {
      return segment_->bytes().data() + offset_;
    } else {
      return segment_->writable().data() + offset_;
    }
  }

  SegmentType* segment_;
  std::size_t offset_ = 0;
};

}  // namespace tideline::app::blast
