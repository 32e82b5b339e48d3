// SPDX-License-Identifier: Apache-2.0
#include "ip/reassembly.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ip/frame.h"
#include "wire/checksum.h"
#include "wire/protocol.h"

namespace tideline::ip {

using packet::PacketPtr;
using wire::Ipv6Address;
using wire::PacketLayout;

namespace {

constexpr std::uint8_t kEcnMask = 3;
constexpr std::uint8_t kEcnCongestion = 3;

std::uint8_t ecn_of(const packet::Packet& frame, const PacketLayout& layout) {
  const wire::Bytes head = frame.first().bytes();
  if (layout.ip_version == 4) return layout.ipv4(head).traffic_class & kEcnMask;
  return static_cast<std::uint8_t>(layout.ipv6(head).version_class_flow.value() >> 20 & kEcnMask);
}

// Makes the header in front of `size` bytes of data that of a whole datagram. RFC 3168 §5.3: a
// congestion mark on any fragment marks the datagram, if its sender understands marks.
void restore_ipv4(wire::MutableBytes head, const PacketLayout& layout, std::size_t size,
                  bool congestion) {
  const wire::MutableBytes bytes = head.subspan(layout.l3, layout.l4 - layout.l3);
  auto& header = wire::view_as<wire::Ipv4Header>(bytes);
  header.total_length = wire::be16(static_cast<std::uint16_t>(bytes.size() + size));
  header.flags_fragment = wire::be16(0);
  if (congestion && (header.traffic_class & kEcnMask) != 0) header.traffic_class |= kEcnCongestion;
  header.checksum = wire::be16(0);
  header.checksum = wire::be16(wire::checksum(bytes));
}

// The same, and takes out the fragment header.
void restore_ipv6(packet::Packet& frame, const PacketLayout& layout, std::size_t size,
                  bool congestion) {
  std::byte* begin = frame.first().writable().data();
  const std::size_t fragment = layout.fragment_header;
  std::memmove(begin + sizeof(wire::Ipv6FragmentHeader), begin, fragment);
  frame.trim_front(sizeof(wire::Ipv6FragmentHeader));
  const wire::MutableBytes head = frame.first().writable();
  head[layout.fragment_next_at] = std::byte{layout.protocol};
  auto& header = wire::view_as<wire::Ipv6Header>(head.subspan(layout.l3));
  const std::size_t extensions = fragment - layout.l3 - sizeof(wire::Ipv6Header);
  header.payload_length = wire::be16(static_cast<std::uint16_t>(extensions + size));
  const std::uint32_t first = header.version_class_flow.value();
  if (congestion && (first >> 20 & kEcnMask) != 0) {
    header.version_class_flow = wire::be32(first | std::uint32_t{kEcnCongestion} << 20);
  }
}

}  // namespace

Reassembler::Reassembler(Context& context, const ReassemblyOptions& options, Owner& owner)
    : context_(context),
      options_(options),
      owner_(owner),
      secret_(HashKey::random(context.rng)),
      datagrams_(options.datagrams, HashKey::random(context.rng)),
      pieces_(options.pieces) {
  for (std::uint32_t i = static_cast<std::uint32_t>(pieces_.size()); i-- > 0;) {
    pieces_[i].next = free_;
    free_ = i;
  }
}

PacketPtr Reassembler::add(PacketPtr frame, const PacketLayout& layout, Instant now) {
  const FragmentKey key = key_of(*frame, layout);
  const auto source = static_cast<std::uint8_t>(keyed_hash(key.source, secret_) % kSources);
  Datagram* datagram = &find_or_create(key, source, layout.ip_version, now);
  if (datagram->poisoned) {
    context_.drops.count(Discard::kFragmentPoisoned);
    return nullptr;
  }
  const auto offset = std::uint32_t{layout.fragment_offset};
  const auto size = static_cast<std::uint32_t>(layout.l4_size());
  if (!check_extent(*datagram, layout)) return nullptr;
  datagram->congestion_seen |= ecn_of(*frame, layout) == kEcnCongestion;
  frame->truncate(layout.end);  // Ethernet padding
  if (offset == 0) {
    if (!own_front(frame, layout.l4, context_)) return nullptr;
  } else {
    frame->trim_front(layout.l4);
  }
  if (!make_room(key, source, frame->segment_count())) return nullptr;
  if (!place(*datagram, frame, offset, size)) return nullptr;
  // Of what stays: the headers of a duplicate may differ.
  if (offset == 0) datagram->first = layout;
  if (datagram->total == 0 || datagram->bytes < datagram->total) return nullptr;
  return assemble(key, *datagram);
}

FragmentKey Reassembler::key_of(const packet::Packet& frame, const PacketLayout& layout) const {
  const wire::Bytes head = frame.first().bytes();
  if (layout.ip_version == 4) {
    const wire::Ipv4Header& header = layout.ipv4(head);
    return {.source = Ipv6Address::mapped(header.source),
            .destination = Ipv6Address::mapped(header.destination),
            .id = layout.fragment_id,
            .protocol = layout.protocol};
  }
  const wire::Ipv6Header& header = layout.ipv6(head);
  return {.source = header.source, .destination = header.destination, .id = layout.fragment_id};
}

Reassembler::Datagram& Reassembler::find_or_create(const FragmentKey& key, std::uint8_t source,
                                                   unsigned version, Instant now) {
  if (Datagram* known = datagrams_.find(key)) return *known;
  if (datagrams_.full()) {
    const FragmentKey oldest = *datagrams_.oldest();
    release(*datagrams_.find(oldest), Discard::kReassemblyEvicted);
    datagrams_.erase(oldest);
  }
  Datagram& datagram = datagrams_.insert(key);
  datagram.source = source;
  datagram.deadline = now + (version == 4 ? options_.time_ipv4 : options_.time_ipv6);
  earliest_ = std::min(earliest_, datagram.deadline);
  return datagram;
}

// What the fragment says of the datagram's end, against what is known of it.
bool Reassembler::check_extent(Datagram& datagram, const PacketLayout& layout) {
  const auto end = static_cast<std::uint32_t>(layout.fragment_offset + layout.l4_size());
  if (layout.more_fragments) {
    if (datagram.total == 0 || end <= datagram.total) return true;
  } else {
    const std::uint32_t reached = datagram.tail == kNone ? 0 : pieces_[datagram.tail].end();
    if ((datagram.total == 0 || end == datagram.total) && reached <= end) {
      datagram.total = end;
      return true;
    }
  }
  context_.drops.count(Discard::kFragmentTotalDiffers);
  poison(datagram, Discard::kFragmentTotalDiffers);
  return false;
}

// Frees memory until `segments` more fit, without touching the datagram at hand.
bool Reassembler::make_room(const FragmentKey& keep, std::uint8_t source, std::size_t segments) {
  const auto evict_oldest = [&](bool any_source) {
    const FragmentKey* victim = datagrams_.find_oldest_if([&](const auto& key, const auto& each) {
      return each.pieces > 0 && (any_source || each.source == source) && !(key == keep);
    });
    if (victim == nullptr) return false;
    const FragmentKey key = *victim;
    release(*datagrams_.find(key), Discard::kReassemblyEvicted);
    datagrams_.erase(key);
    return true;
  };
  bool room = true;
  while (room && source_segments_[source] + segments > options_.segments_per_source) {
    room = evict_oldest(false);
  }
  while (room && (segments_ + segments > options_.segments || free_ == kNone)) {
    room = evict_oldest(true);
  }
  if (room) return true;
  context_.drops.count(Discard::kFragmentTooMany);
  poison(*datagrams_.find(keep), Discard::kFragmentTooMany);
  return false;
}

// Links the piece in where it belongs. RFC 5722 §4: a datagram with overlaps goes as a whole.
bool Reassembler::place(Datagram& datagram, PacketPtr& piece, std::uint32_t offset,
                        std::uint32_t size) {
  std::uint32_t before = kNone;
  std::uint32_t after = datagram.head;
  if (datagram.tail != kNone && pieces_[datagram.tail].end() <= offset) {
    before = datagram.tail;  // in order, as nearly always
    after = kNone;
  }
  while (after != kNone && pieces_[after].end() <= offset) {
    before = after;
    after = pieces_[after].next;
  }
  if (after != kNone && pieces_[after].offset < offset + size) {
    if (pieces_[after].offset == offset && pieces_[after].size == size) {
      context_.drops.count(Discard::kFragmentDuplicate);
      return false;
    }
    context_.drops.count(Discard::kFragmentOverlap);
    poison(datagram, Discard::kFragmentOverlap);
    return false;
  }
  if (datagram.pieces == options_.pieces_per_datagram) {
    context_.drops.count(Discard::kFragmentTooMany);
    poison(datagram, Discard::kFragmentTooMany);
    return false;
  }
  const std::uint32_t at = free_;
  free_ = pieces_[at].next;
  const auto segments = static_cast<std::uint32_t>(piece->segment_count());
  pieces_[at] = {.packet = std::move(piece),
                 .offset = offset,
                 .size = size,
                 .segments = segments,
                 .next = after};
  (before == kNone ? datagram.head : pieces_[before].next) = at;
  if (after == kNone) datagram.tail = at;
  ++datagram.pieces;
  datagram.bytes += size;
  segments_ += segments;
  source_segments_[datagram.source] += segments;
  return true;
}

PacketPtr Reassembler::assemble(const FragmentKey& key, Datagram& datagram) {
  const PacketLayout first = datagram.first;
  const std::size_t total = datagram.total;
  const bool congestion = datagram.congestion_seen;
  // Headers that later fragments did not repeat may push the whole beyond what a length can say.
  const std::size_t counted = first.ip_version == 4
                                  ? std::size_t{first.l4} - first.l3
                                  : first.fragment_header - first.l3 - sizeof(wire::Ipv6Header);
  if (counted + total > wire::kMaxDatagram) {
    poison(datagram, Discard::kReassemblyTooLarge);
    return nullptr;
  }
  PacketPtr whole = take_piece(datagram);
  while (PacketPtr piece = take_piece(datagram)) whole->append(std::move(piece));
  datagrams_.erase(key);
  whole->meta().offload = {};
  if (first.ip_version == 4) {
    restore_ipv4(whole->first().writable(), first, total, congestion);
  } else {
    restore_ipv6(*whole, first, total, congestion);
  }
  return whole;
}

void Reassembler::run_timers(Instant now) {
  if (now < earliest_) return;
  datagrams_.for_each([&](const FragmentKey& found, Datagram& datagram) {
    if (datagram.deadline > now) return;
    const FragmentKey key = found;
    PacketPtr first;
    const PacketLayout layout = datagram.first;
    if (layout.l4 != 0 && datagram.head != kNone) {
      first = take_piece(datagram);
      context_.drops.count(Discard::kReassemblyTimeout);
    }
    release(datagram, Discard::kReassemblyTimeout);
    datagrams_.erase(key);
    // RFC 1122 §3.3.2, RFC 8200 §4.5: told only if the first fragment has come.
    if (first != nullptr) owner_.reassembly_timed_out(std::move(first), layout, now);
  });
  earliest_ = kNever;
  datagrams_.for_each([&](const FragmentKey& /*key*/, const Datagram& datagram) {
    earliest_ = std::min(earliest_, datagram.deadline);
  });
}

void Reassembler::poison(Datagram& datagram, Discard reason) {
  release(datagram, reason);
  datagram.poisoned = true;
}

void Reassembler::release(Datagram& datagram, Discard reason) {
  while (take_piece(datagram) != nullptr) context_.drops.count(reason);
  datagram.first = {};
  datagram.bytes = 0;
}

// Unlinks the piece with the lowest offset; null if there is none.
PacketPtr Reassembler::take_piece(Datagram& datagram) {
  const std::uint32_t at = datagram.head;
  if (at == kNone) return nullptr;
  Piece& piece = pieces_[at];
  datagram.head = piece.next;
  if (datagram.head == kNone) datagram.tail = kNone;
  --datagram.pieces;
  segments_ -= piece.segments;
  source_segments_[datagram.source] -= piece.segments;
  piece.next = free_;
  free_ = at;
  return std::move(piece.packet);
}

}  // namespace tideline::ip
