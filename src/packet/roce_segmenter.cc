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

std::optional<RoceSegmenter> RoceSegmenter::create(PacketPtr frame) {
  const Offload& offload = frame->meta().offload;
  if (offload.gso != Gso::kRoce || offload.gso_size == 0) return std::nullopt;
  const wire::Bytes head = frame->first().bytes();
  const auto layout = wire::parse_layout(head, frame->size(), {.accept_vlan = true});
  if (!layout || layout->is_fragment() || layout->end != frame->size() ||
      (layout->protocol != wire::kProtocolUdp && !layout->is_grh())) {
    return std::nullopt;
  }
  const auto headers = wire::parse_roce(layout->payload_bytes(head), layout->payload_size());
  if (!headers) return std::nullopt;
  RoceSegmenter segmenter(std::move(frame), *layout, *headers);
  const bool fits = segmenter.payload_size_ <= segmenter.mtu_ ||
                    (is_spread(headers->info()) && segmenter.mtu_ % 4 == 0);
  if (!fits) return std::nullopt;
  return segmenter;
}

RoceSegmenter::RoceSegmenter(PacketPtr frame, const PacketLayout& layout, const wire::Roce& headers)
    : frame_(std::move(frame)),
      layout_(layout),
      headers_(headers),
      payload_at_(layout.payload + std::size_t{headers.info().header_size}),
      mtu_(frame_->meta().offload.gso_size) {
  const std::size_t padded = layout.end - payload_at_ - wire::kIcrcSize;
  payload_size_ = padded - std::min<std::size_t>(headers.pad, padded);
  if (payload_size_ > mtu_) count_ = (payload_size_ + mtu_ - 1) / mtu_;
}

PacketPtr RoceSegmenter::next(Pool& pool, PassCounter& passes) {
  CHECK(!done());
  if (count_ == 1) {
    fill_icrc(*frame_, layout_, passes);
    ++index_;
    return std::move(frame_);
  }
  const std::size_t begin = index_ * mtu_;
  const std::size_t size = std::min(mtu_, payload_size_ - begin);
  const wire::Roce roce = headers_of(index_, size);
  const std::size_t headers = roce.info().header_size;
  const std::size_t transport = headers + size + roce.pad + wire::kIcrcSize;
  PacketPtr packet = pool.get_chain(layout_.payload + transport);
  if (packet == nullptr) return nullptr;
  if (!write_headers(*packet, roce, transport)) return nullptr;
  // Piece by piece, for both are chains: the smaller of what lies together here and there.
  std::size_t to = layout_.payload + headers;
  std::size_t skip = payload_at_ + begin;
  std::size_t left = size;
  for (const Segment* from = &frame_->first(); left > 0; from = from->next()) {
    const std::size_t length = from->bytes().size();
    if (skip >= length) {
      skip -= length;
      continue;
    }
    const std::size_t part = std::min(left, length - skip);
    copy_in(*packet, to, from->bytes().subspan(skip, part), passes);
    to += part;
    left -= part;
    skip = 0;
  }
  constexpr std::array<std::byte, 3> kPad{};
  copy_in(*packet, to, std::span(kPad).first(roce.pad), passes);
  PacketLayout layout = layout_;
  layout.end = static_cast<std::uint32_t>(packet->size());
  fill_icrc(*packet, layout, passes);
  ++index_;
  return packet;
}

// Table 38: the first says where, the last brings the rest; what asks for an answer is the last.
wire::Roce RoceSegmenter::headers_of(std::size_t index, std::size_t payload_size) const {
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
  roce.pad = static_cast<std::uint8_t>((4 - payload_size % 4) % 4);
  return roce;
}

// False if they do not fit the first segment, which has room for all that RoCE has.
bool RoceSegmenter::write_headers(Packet& packet, const wire::Roce& roce,
                                  std::size_t transport) const {
  const wire::Bytes from = frame_->first().bytes();
  const wire::MutableBytes to = packet.first().writable();
  if (to.size() < std::size_t{layout_.payload} + roce.info().header_size) return false;
  std::memcpy(to.data(), from.data(), layout_.payload);
  const std::size_t ip_payload = std::size_t{layout_.payload} - layout_.l4 + transport;
  if (layout_.ip_version == 4) {
    const wire::MutableBytes ip = to.subspan(layout_.l3, std::size_t{layout_.l4} - layout_.l3);
    auto& header = wire::view_as<wire::Ipv4Header>(ip);
    header.total_length = wire::be16(static_cast<std::uint16_t>(ip.size() + ip_payload));
    header.identification =
        wire::be16(static_cast<std::uint16_t>(header.identification.value() + index_));
    header.checksum = {};
    header.checksum = wire::be16(wire::checksum(ip));
  } else {
    const std::size_t upper = layout_.l4 - layout_.l3 - sizeof(wire::Ipv6Header);
    wire::view_as<wire::Ipv6Header>(to.subspan(layout_.l3)).payload_length =
        wire::be16(static_cast<std::uint16_t>(upper + ip_payload));
  }
  if (!layout_.is_grh()) {
    wire::view_as<wire::UdpHeader>(to.subspan(layout_.l4)).length =
        wire::be16(static_cast<std::uint16_t>(ip_payload));
  }
  wire::emit(roce, to.subspan(layout_.payload));
  return true;
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
