// SPDX-License-Identifier: Apache-2.0
#include "rdma/transfer.h"

#include <algorithm>

namespace tideline::rdma {
namespace {

// Calls `piece(address, length)` for each piece of [offset, offset + length) of the scatter list.
// False as soon as that is, or if the list is too short.
template <typename Piece>
bool for_each_piece(std::span<const Sge> sges, std::uint64_t offset, std::uint64_t length,
                    Piece piece) {
  for (const Sge& sge : sges) {
    if (length == 0) break;
    if (offset >= sge.length) {
      offset -= sge.length;
      continue;
    }
    const std::uint64_t size = std::min(length, sge.length - offset);
    if (!piece(Sge{.address = sge.address + offset,
                   .length = static_cast<std::uint32_t>(size),
                   .lkey = sge.lkey})) {
      return false;
    }
    offset = 0;
    length -= size;
  }
  return length == 0;
}

}  // namespace

PacketCursor::PacketCursor(packet::Packet& packet, std::size_t offset)
    : segment_(&packet.first()), offset_(offset) {}

std::span<const std::byte> PacketCursor::take(std::size_t size) {
  while (offset_ >= segment_->bytes().size()) {
    offset_ -= segment_->bytes().size();
    segment_ = segment_->next();
    CHECK(segment_ != nullptr);
  }
  const std::size_t part = std::min(size, segment_->bytes().size() - offset_);
  const auto bytes = segment_->bytes().subspan(offset_, part);
  offset_ += part;
  return bytes;
}

std::span<std::byte> PacketCursor::take_writable(std::size_t size) {
  const std::size_t part = take(size).size();
  return segment_->writable().subspan(offset_ - part, part);
}

bool load_range(Core& core, const Resolved& from, PacketCursor& to, std::size_t length) {
  core.counters.passes.add(packet::Pass::kCopy, length);
  for (std::uint64_t address = from.address; length > 0;) {
    const auto part = to.take_writable(length);
    if (!from.memory->load(address, part)) return false;
    address += part.size();
    length -= part.size();
  }
  return true;
}

bool store_range(Core& core, const Resolved& to, PacketCursor& from, std::size_t length) {
  core.counters.passes.add(packet::Pass::kCopy, length);
  for (std::uint64_t address = to.address; length > 0;) {
    const auto part = from.take(length);
    if (!to.memory->store(address, part)) return false;
    address += part.size();
    length -= part.size();
  }
  return true;
}

bool gather(Core& core, const ProtectionDomain& pd, std::span<const Sge> sges, std::uint64_t offset,
            PacketCursor to, std::size_t length) {
  return for_each_piece(sges, offset, length, [&](const Sge& piece) {
    const auto memory =
        core.regions.local(piece.lkey, piece.address, piece.length, Access::kNone, pd);
    return memory && load_range(core, *memory, to, piece.length);
  });
}

bool scatter(Core& core, const ProtectionDomain& pd, std::span<const Sge> sges,
             std::uint64_t offset, PacketCursor from, std::size_t length) {
  return for_each_piece(sges, offset, length, [&](const Sge& piece) {
    const auto memory =
        core.regions.local(piece.lkey, piece.address, piece.length, Access::kLocalWrite, pd);
    return memory && store_range(core, *memory, from, piece.length);
  });
}

std::optional<std::size_t> locate(const Core& core, const ProtectionDomain& pd,
                                  std::span<const Sge> sges, std::uint64_t offset,
                                  std::size_t length, Access needed,
                                  std::span<DirectPiece, kMaxSge> pieces) {
  std::size_t count = 0;
  const bool whole = for_each_piece(sges, offset, length, [&](const Sge& piece) {
    const auto memory = core.regions.local(piece.lkey, piece.address, piece.length, needed, pd);
    if (!memory) return false;
    pieces[count++] = {.address = memory->address, .length = piece.length};
    return true;
  });
  if (!whole) return std::nullopt;
  return count;
}

bool scatter_bytes(Core& core, const ProtectionDomain& pd, std::span<const Sge> sges,
                   std::uint64_t offset, std::span<const std::byte> from) {
  return for_each_piece(sges, offset, from.size(), [&](const Sge& piece) {
    const auto memory =
        core.regions.local(piece.lkey, piece.address, piece.length, Access::kLocalWrite, pd);
    if (!memory || !memory->memory->store(memory->address, from.first(piece.length))) return false;
    core.counters.passes.add(packet::Pass::kCopy, piece.length);
    from = from.subspan(piece.length);
    return true;
  });
}

}  // namespace tideline::rdma
