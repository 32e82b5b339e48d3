// SPDX-License-Identifier: Apache-2.0
#include "packet/copy.h"

#include <cstring>

#include "base/check.h"
#include "base/copy.h"
#include "packet/pieces.h"

namespace tideline::packet {
namespace {

void copy_plainly(void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }

}  // namespace

void copy_in(Packet& packet, std::size_t offset, std::span<const std::byte> from,
             PassCounter& passes) {
  CHECK(offset + from.size() <= packet.size(), "{}+{} of {}", offset, from.size(), packet.size());
  const std::byte* source = from.data();
  for_each_piece(&packet.first(), offset, from.size(),
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
  for_each_piece(&packet.first(), offset, to.size(),
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

PacketPtr copy_of(const Packet& packet, std::size_t offset, std::size_t size, Pool& pool,
                  PassCounter& passes) {
  CHECK(offset + size <= packet.size(), "{}+{} of {}", offset, size, packet.size());
  PacketPtr copy = pool.get_chain(size);
  if (copy == nullptr) return nullptr;
  std::size_t written = 0;
  for_each_piece(&packet.first(), offset, size,
                 [&](const Segment& segment, std::size_t begin, std::size_t part) {
                   copy_in(*copy, written, segment.bytes().subspan(begin, part), passes);
                   written += part;
                 });
  return copy;
}

PacketPtr copy_of(const Packet& packet, Pool& pool, PassCounter& passes) {
  PacketPtr copy = copy_of(packet, 0, packet.size(), pool, passes);
  if (copy != nullptr) copy->meta() = packet.meta();
  return copy;
}

}  // namespace tideline::packet
