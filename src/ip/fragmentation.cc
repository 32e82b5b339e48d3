// SPDX-License-Identifier: Apache-2.0
#include "ip/fragmentation.h"

#include <algorithm>
#include <utility>

#include "ip/frame.h"
#include "packet/copy.h"

namespace tideline::ip {

using packet::PacketPtr;
using packet::PacketRef;

namespace {

PacketPtr copy_piece(const packet::Packet& whole, std::size_t offset, std::size_t size,
                     Context& context) {
  PacketPtr piece = context.pool.get_chain(size);
  if (piece == nullptr) return nullptr;
  const packet::Segment* segment = &whole.first();
  for (std::size_t written = 0; written < size; segment = segment->next()) {
    const wire::Bytes bytes = segment->bytes();
    if (offset >= bytes.size()) {
      offset -= bytes.size();
      continue;
    }
    const std::size_t part = std::min(size - written, bytes.size() - offset);
    packet::copy_in(*piece, written, bytes.subspan(offset, part), context.passes);
    written += part;
    offset = 0;
  }
  return piece;
}

}  // namespace

PacketPtr lend_or_copy(const PacketRef& whole, std::size_t offset, std::size_t size,
                       Context& context) {
  PacketPtr piece;
  if (size == 0) {
    piece = context.pool.get();
  } else {
    piece = whole.lend(context.pool, offset, size);
    if (piece == nullptr) piece = copy_piece(*whole, offset, size, context);
  }
  if (piece == nullptr) context.drops.count(Discard::kPoolExhausted);
  return piece;
}

void cut_datagram(PacketPtr packet, std::size_t header_size, std::size_t piece_size,
                  Context& context, FragmentSink& sink) {
  complete_checksum(*packet, context.passes);  // it covers what the pieces share
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
