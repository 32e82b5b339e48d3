// SPDX-License-Identifier: Apache-2.0
#include "ip/fragmentation.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "ip/frame.h"
#include "packet/checksum.h"
#include "packet/copy.h"

namespace tideline::ip {

using packet::PacketPtr;
using packet::PacketRef;

PacketPtr lend_or_copy(const PacketRef& whole, std::size_t offset, std::size_t size,
                       Context& context) {
  PacketPtr piece;
  if (size == 0) {
    piece = context.pool.get();
  } else {
    piece = whole.lend(context.pool, offset, size);
    if (piece == nullptr)
      piece = packet::copy_of(*whole, offset, size, context.pool, context.passes);
  }
  if (piece == nullptr) context.drops.count(Discard::kPoolExhausted);
  return piece;
}

void cut_datagram(PacketPtr packet, std::size_t header_size, std::size_t piece_size,
                  Context& context, FragmentSink& sink) {
  // It covers what the pieces share.
  const bool completed = packet::complete_checksum(*packet, context.passes);
  CHECK(completed, "the checksum of a datagram of ours lies in front of it");
  const PacketRef whole(std::move(packet));
  const std::size_t size = whole->size() - header_size;
  for (std::size_t offset = 0; offset < size; offset += piece_size) {
    const std::size_t part = std::min(piece_size, size - offset);
    PacketPtr piece = lend_or_copy(whole, header_size + offset, part, context);
    if (piece == nullptr) return;
    piece->meta().offload = {};
    sink.fragment(std::move(piece), offset, offset + part < size);
  }
}

}  // namespace tideline::ip
