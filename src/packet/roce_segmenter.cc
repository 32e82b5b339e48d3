// SPDX-License-Identifier: Apache-2.0
#include "packet/roce_segmenter.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "packet/copy.h"
#include "wire/checksum.h"
#include "wire/icrc.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/protocol.h"
#include "wire/udp.h"

namespace tideline::packet {

using wire::PacketLayout;
using wire::RoceExtension;
using wire::RoceKind;

namespace {

bool is_spread(const wire::RoceOpcode& opcode) {
  if (opcode.service == wire::RoceService::kUd) return false;
  return opcode.kind == RoceKind::kSend || opcode.kind == RoceKind::kWrite ||
         opcode.kind == RoceKind::kReadResponse;
}

}  // namespace

std::optional<RoceCut> RoceCut::create(wire::Bytes head, std::size_t frame_size,
                                       const Offload& offload) {
  if (offload.gso != Gso::kRoce || offload.gso_size == 0) return std::nullopt;
  const auto layout = wire::parse_layout(head, frame_size, {.accept_vlan = true});
  if (!layout || layout->is_fragment() || layout->end != frame_size ||
      (layout->protocol != wire::kProtocolUdp && !layout->is_grh())) {
    return std::nullopt;
  }
  const auto headers = wire::parse_roce(layout->payload_bytes(head), layout->payload_size());
  if (!headers) return std::nullopt;
  const RoceCut cut(*layout, *headers, offload.gso_size);
  const std::size_t pad = (4 - cut.payload_size_ % 4) % 4;
  const bool fits =
      cut.count_ == 1 || (is_spread(headers->info()) && cut.mtu_ % 4 == 0 && headers->pad == pad);
  if (!fits) return std::nullopt;
  return cut;
}

RoceCut::RoceCut(const PacketLayout& layout, const wire::Roce& headers, std::size_t mtu)
    : layout_(layout),
      headers_(headers),
      payload_at_(layout.payload + std::size_t{headers.info().header_size}),
      mtu_(mtu) {
  const std::size_t padded = layout.end - payload_at_ - wire::kIcrcSize;
  payload_size_ = padded - std::min<std::size_t>(headers.pad, padded);
  if (payload_size_ > mtu_) count_ = (payload_size_ + mtu_ - 1) / mtu_;
}

RoceCut::Part RoceCut::part(std::size_t index) const {
  const std::size_t begin = index * mtu_;
  const wire::Roce roce = headers_of(index);
  return {.offset = payload_at_ + begin,
          .size = std::min(mtu_, payload_size_ - begin),
          .header_size = layout_.payload + std::size_t{roce.info().header_size},
          .pad = roce.pad};
}

PacketLayout RoceCut::layout_of(std::size_t packet_size) const {
  PacketLayout layout = layout_;
  layout.end = static_cast<std::uint32_t>(packet_size);
  return layout;
}

// Table 38: the first says where, the last brings the rest; what asks for an answer is the last.
wire::Roce RoceCut::headers_of(std::size_t index) const {
  if (count_ == 1) return headers_;
  const wire::RoceOpcode& whole = headers_.info();
  const bool last = index + 1 == count_;
  const bool starts = whole.starts && index == 0;
  const bool ends = whole.ends && last;
  constexpr std::uint8_t kExtra = RoceExtension::kImmediate | RoceExtension::kInvalidate;
  wire::Roce roce = headers_;
  roce.opcode =
      wire::find_roce_opcode(whole.service, whole.kind, starts, ends,
                             ends ? static_cast<std::uint8_t>(whole.extensions & kExtra) : 0)
          .code;
  roce.psn = (headers_.psn + static_cast<std::uint32_t>(index)) & 0xffffff;
  roce.solicited = headers_.solicited && last;
  roce.ack_request = headers_.ack_request && last;
  const std::size_t size = last ? payload_size_ - index * mtu_ : mtu_;
  roce.pad = static_cast<std::uint8_t>((4 - size % 4) % 4);
  return roce;
}

void RoceCut::write_headers(std::size_t index, wire::Bytes head, wire::MutableBytes out) const {
  const wire::Roce roce = headers_of(index);
  const Part here = part(index);
  const std::size_t transport = roce.info().header_size + here.size + here.pad + wire::kIcrcSize;
  std::memcpy(out.data(), head.data(), layout_.payload);
  const std::size_t ip_payload = std::size_t{layout_.payload} - layout_.l4 + transport;
  if (layout_.ip_version == 4) {
    const wire::MutableBytes ip = out.subspan(layout_.l3, std::size_t{layout_.l4} - layout_.l3);
    auto& header = wire::view_as<wire::Ipv4Header>(ip);
    header.total_length = wire::be16(static_cast<std::uint16_t>(ip.size() + ip_payload));
    header.identification =
        wire::be16(static_cast<std::uint16_t>(header.identification.value() + index));
    header.checksum = {};
    header.checksum = wire::be16(wire::checksum(ip));
  } else {
    const std::size_t upper = layout_.l4 - layout_.l3 - sizeof(wire::Ipv6Header);
    wire::view_as<wire::Ipv6Header>(out.subspan(layout_.l3)).payload_length =
        wire::be16(static_cast<std::uint16_t>(upper + ip_payload));
  }
  if (!layout_.is_grh()) {
    wire::view_as<wire::UdpHeader>(out.subspan(layout_.l4)).length =
        wire::be16(static_cast<std::uint16_t>(ip_payload));
  }
  wire::emit(roce, out.subspan(layout_.payload));
}

std::optional<RoceSegmenter> RoceSegmenter::create(PacketPtr frame) {
  const auto cut = RoceCut::create(frame->first().bytes(), frame->size(), frame->meta().offload);
  if (!cut) return std::nullopt;
  return RoceSegmenter(std::move(frame), *cut);
}

PacketPtr RoceSegmenter::next(Pool& pool, PassCounter& passes) {
  CHECK(!done());
  if (count() == 1) {
    fill_icrc(*frame_, cut_.layout_of(frame_->size()), passes);
    ++index_;
    return std::move(frame_);
  }
  const RoceCut::Part part = cut_.part(index_);
  PacketPtr packet = pool.get_chain(part.header_size + part.size + part.pad + wire::kIcrcSize);
  // All that RoCE has before its payload fits a segment.
  if (packet == nullptr || packet->first().bytes().size() < part.header_size) return nullptr;
  cut_.write_headers(index_, frame_->first().bytes(), packet->first().writable());
  // Piece by piece, for both are chains: the smaller of what lies together here and there.
  std::size_t to = part.header_size;
  std::size_t skip = part.offset;
  std::size_t left = part.size;
  for (const Segment* from = &frame_->first(); left > 0; from = from->next()) {
    const std::size_t length = from->bytes().size();
    if (skip >= length) {
      skip -= length;
      continue;
    }
    const std::size_t piece = std::min(left, length - skip);
    copy_in(*packet, to, from->bytes().subspan(skip, piece), passes);
    to += piece;
    left -= piece;
    skip = 0;
  }
  constexpr std::array<std::byte, 3> kPad{};
  copy_in(*packet, to, std::span(kPad).first(part.pad), passes);
  fill_icrc(*packet, cut_.layout_of(packet->size()), passes);
  ++index_;
  return packet;
}

void fill_icrc(Packet& frame, const PacketLayout& layout, PassCounter& passes) {
  const std::size_t icrc_at = layout.end - wire::kIcrcSize;
  const wire::Bytes head = frame.first().bytes();
  wire::Crc32 crc =
      wire::start_icrc(head.subspan(layout.l3), std::size_t{layout.payload} - layout.l3);
  std::size_t skip = layout.payload + wire::kBthSize;
  std::size_t left = icrc_at - skip;
  passes.add(Pass::kChecksum, left);
  for (const Segment* segment = &frame.first(); left > 0; segment = segment->next()) {
    const std::size_t length = segment->bytes().size();
    if (skip >= length) {
      skip -= length;
      continue;
    }
    const std::size_t part = std::min(left, length - skip);
    crc.add(segment->bytes().subspan(skip, part));
    left -= part;
    skip = 0;
  }
  const auto field = wire::icrc_field(crc.value());
  copy_in(frame, icrc_at, std::as_bytes(std::span(field)), passes);
  frame.meta().offload = {};
}

}  // namespace tideline::packet
