// SPDX-License-Identifier: Apache-2.0
#include "packet/copy.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/copy.h"

namespace tideline::packet {
namespace {

// Calls `visit(segment, offset in segment, size)` for each piece of [offset, offset + size).
template <typename SegmentType, typename Visit>
void for_range(SegmentType* segment, std::size_t offset, std::size_t size, Visit&& visit) {
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

void copy_plainly(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }

}  // namespace

void copy_in(Packet& packet, std::size_t offset, std::span<const std::byte> from,
             PassCounter& passes) {
  CHECK(offset + from.size() <= packet.size(), "{}+{} of {}", offset, from.size(), packet.size());
  const std::byte* source = from.data();
  for_range(&packet.first(), offset, from.size(),
            [&](Segment& segment, std::size_t begin, std::size_t size) {
              std::memcpy(segment.writable().data() + begin, source, size);
              source += size;
            });
  passes.add(Pass::kCopy, from.size());
}

void copy_out(const Packet& packet, std::size_t offset, std::span<std::byte> to,
              PassCounter& passes) {
  CHECK(offset + to.size() <= packet.size(), "{}+{} of {}", offset, to.size(), packet.size());
  std::byte* target = to.data();
  for_range(&packet.first(), offset, to.size(),
            [&](const Segment& segment, std::size_t begin, std::size_t size) {
              // What is borrowed may lie in another core's cache.
              const auto copy = segment.borrowed() ? copy_by_vectors : copy_plainly;
              copy(target, segment.bytes().data() + begin, size);
              target += size;
            });
  passes.add(Pass::kCopy, to.size());
}

PacketPtr copy_of(std::span<const std::byte> bytes, Pool& pool, PassCounter& passes) {
  PacketPtr copy = pool.get_chain(bytes.size());
  if (copy != nullptr) copy_in(*copy, 0, bytes, passes);
  return copy;
}

PacketPtr copy_of(const Packet& packet, Pool& pool, PassCounter& passes) {
  PacketPtr copy = pool.get_chain(packet.size());
  if (copy == nullptr) return nullptr;
  std::size_t offset = 0;
  for (const Segment* segment = &packet.first(); segment != nullptr; segment = segment->next()) {
    copy_in(*copy, offset, segment->bytes(), passes);
    offset += segment->bytes().size();
  }
  copy->meta() = packet.meta();
  return copy;
}

}  // namespace tideline::packet
