// SPDX-License-Identifier: Apache-2.0
#include "nic/segmenter.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "packet/checksum.h"
#include "packet/copy.h"
#include "packet/roce_segmenter.h"
#include "wire/icrc.h"
#include "wire/packet_layout.h"
#include "wire/protocol.h"

namespace tideline::nic {
namespace {

using packet::Checksum;
using packet::Gso;
using packet::Offload;
using wire::be16;
using wire::be32;

constexpr std::uint16_t kIndivisible = wire::kTcpSyn | wire::kTcpRst | wire::kTcpUrg;

bool is_kind(Gso gso, const wire::PacketLayout& layout) {
  switch (gso) {
    case Gso::kTcpV4:
      return layout.ip_version == 4 && layout.protocol == wire::kProtocolTcp;
    case Gso::kTcpV6:
      return layout.ip_version == 6 && layout.protocol == wire::kProtocolTcp;
    case Gso::kUdp:
      return layout.ip_version != 0 && layout.protocol == wire::kProtocolUdp;
    case Gso::kRoce:
    case Gso::kNone:
      break;
  }
  return false;
}

}  // namespace

std::optional<Segmenter> Segmenter::create(const packet::Packet& frame) {
  Segmenter cut;
  packet::PassCounter headers;  // no payload
  cut.available_ = std::min(frame.size(), kMaxHeaders);
  packet::copy_out(frame, 0, std::span(cut.headers_).first(cut.available_), headers);
  if (!cut.prepare(frame.size(), frame.meta().offload)) return std::nullopt;
  return cut;
}

std::optional<Segmenter> Segmenter::create(wire::Bytes frame, const Offload& offload) {
  Segmenter cut;
  cut.available_ = std::min(frame.size(), kMaxHeaders);
  std::ranges::copy(frame.first(cut.available_), cut.headers_.begin());
  if (!cut.prepare(frame.size(), offload)) return std::nullopt;
  return cut;
}

bool Segmenter::prepare(std::size_t frame_size, const Offload& offload) {
  const wire::Bytes head = wire::Bytes(headers_).first(available_);
  const auto layout = wire::parse_layout(head, frame_size, {.accept_vlan = true});
  if (!layout || layout->is_fragment() || !is_kind(offload.gso, *layout)) return false;
  tcp_ = layout->protocol == wire::kProtocolTcp;
  checksum_offset_ =
      tcp_ ? offsetof(wire::TcpHeader, checksum) : offsetof(wire::UdpHeader, checksum);
  if (offload.checksum != Checksum::kNeeded || offload.checksum_start != layout->l4 ||
      offload.checksum_offset != checksum_offset_ || offload.header_length != layout->payload ||
      offload.gso_size == 0) {
    return false;
  }
  // Every length field speaks of the whole, and there is something to cut.
  if (layout->end != frame_size || layout->payload_size() == 0) return false;
  if (tcp_ && (layout->tcp(head).flags() & kIndivisible) != 0) return false;
  header_size_ = layout->payload;
  payload_size_ = layout->payload_size();
  gso_size_ = offload.gso_size;
  l3_ = layout->l3;
  l4_ = layout->l4;
  l4_size_ = static_cast<std::uint16_t>(layout->l4_size());
  ipv4_ = layout->ip_version == 4;
  ecn_ = offload.gso_ecn;
  return true;
}

std::size_t Segmenter::longest() const { return header_size_ + std::min(gso_size_, payload_size_); }

Piece Segmenter::payload(std::size_t index) const {
  const std::size_t begin = index * gso_size_;
  CHECK(begin < payload_size_, "segment {} of {}", index, count());
  return {.offset = header_size_ + begin, .size = std::min(gso_size_, payload_size_ - begin)};
}

Offload Segmenter::offload() const {
  return {
      .checksum = Checksum::kNeeded, .checksum_start = l4_, .checksum_offset = checksum_offset_};
}

void Segmenter::write_headers(std::size_t index, wire::MutableBytes to) const {
  std::memcpy(to.data(), headers_.data(), header_size_);
  const std::size_t payload_size = payload(index).size;
  write_ip(index, payload_size, to);
  const auto l4_size = static_cast<std::uint16_t>(header_size_ - l4_ + payload_size);
  if (tcp_) {
    write_tcp(index, to);
  } else {
    wire::view_as<wire::UdpHeader>(to.subspan(l4_)).length = be16(l4_size);
  }
  // The pseudo-header's sum is kept but for the length: its addresses need not be those of the IP
  // header (a routing header has the last).
  auto& field = wire::view_as<be16>(to.subspan(l4_ + checksum_offset_));
  const auto inverted = static_cast<std::uint16_t>(~field.value());
  field = be16(static_cast<std::uint16_t>(~wire::update_checksum(inverted, l4_size_, l4_size)));
}

void Segmenter::write_ip(std::size_t index, std::size_t payload_size, wire::MutableBytes to) const {
  const std::size_t l3_size = header_size_ - l3_ + payload_size;
  if (!ipv4_) {
    wire::view_as<wire::Ipv6Header>(to.subspan(l3_)).payload_length =
        be16(static_cast<std::uint16_t>(l3_size - sizeof(wire::Ipv6Header)));
    return;
  }
  auto& header = wire::view_as<wire::Ipv4Header>(to.subspan(l3_));
  header.total_length = be16(static_cast<std::uint16_t>(l3_size));
  // Each may be fragmented on its way: RFC 6864 §4.3.
  header.identification = be16(static_cast<std::uint16_t>(header.identification.value() + index));
  header.checksum = be16(0);
  header.checksum = be16(wire::checksum(to.subspan(l3_, l4_ - l3_)));
}

void Segmenter::write_tcp(std::size_t index, wire::MutableBytes to) const {
  auto& header = wire::view_as<wire::TcpHeader>(to.subspan(l4_));
  const auto begin = static_cast<std::uint32_t>(index * gso_size_);
  header.sequence_number = be32(header.sequence_number.value() + begin);
  // What is said of the end belongs to the last, RFC 3168 §6.1.2's CWR to the first. Where CWR is
  // part of a counter (RFC 9768) the metadata does not have gso_ecn, and every segment has it.
  std::uint16_t cleared = 0;
  if (index + 1 < count()) cleared |= wire::kTcpFin | wire::kTcpPsh;
  if (index > 0 && ecn_) cleared |= wire::kTcpCwr;
  header.offset_flags = be16(static_cast<std::uint16_t>(header.offset_flags.value() & ~cleared));
}

void Segmenter::fill_checksum(wire::MutableBytes headers,
                              const wire::PartialChecksum& payload) const {
  wire::PartialChecksum sum;
  sum.add(headers.subspan(l4_, header_size_ - l4_));
  sum.add(payload);
  wire::view_as<be16>(headers.subspan(l4_ + checksum_offset_)) =
      packet::checksum_field(sum, checksum_offset_);
}

// Segment by segment, the headers go before their payload, over what has been written already.
namespace {

// Each packet is made where its payload lies: its headers overwrite what was written before, its
// ICRC the first bytes of the next payload, which are kept meanwhile.
void write_roce(const packet::RoceCut& cut, std::span<std::byte> frame, Instant at,
                port::PcapWriter& out, packet::PassCounter& passes) {
  std::array<std::byte, Segmenter::kMaxHeaders> head{};
  std::ranges::copy(frame.first(std::min(frame.size(), head.size())), head.begin());
  for (std::size_t i = 0; i < cut.count(); ++i) {
    const packet::RoceCut::Part part = cut.part(i);
    const std::span<std::byte> bytes = frame.subspan(
        part.offset - part.header_size, part.header_size + part.size + part.pad + wire::kIcrcSize);
    const std::span<std::byte> icrc = bytes.last(wire::kIcrcSize);
    std::array<std::byte, wire::kIcrcSize> kept{};
    std::ranges::copy(icrc, kept.begin());
    cut.write_headers(i, head, bytes);
    const wire::PacketLayout layout = cut.layout_of(bytes.size());
    wire::Crc32 crc = wire::start_icrc(bytes.subspan(layout.l3), layout.payload - layout.l3);
    crc.add(bytes.subspan(layout.payload + wire::kBthSize,
                          layout.payload_size() - wire::kBthSize - wire::kIcrcSize));
    passes.add(packet::Pass::kChecksum, bytes.size() - layout.payload);
    const auto field = wire::icrc_field(crc.value());
    std::ranges::copy(std::as_bytes(std::span(field)), icrc.begin());
    out.write(at, bytes);
    std::ranges::copy(kept, icrc.begin());
  }
}

}  // namespace

void write_segments(std::span<std::byte> frame, const Offload& offload, Instant at,
                    port::PcapWriter& out, packet::PassCounter& passes) {
  if (const auto roce = packet::RoceCut::create(frame, frame.size(), offload)) {
    write_roce(*roce, frame, at, out, passes);
    return;
  }
  const auto cut = Segmenter::create(frame, offload);
  if (!cut) {
    out.write(at, frame);
    return;
  }
  for (std::size_t i = 0; i < cut->count(); ++i) {
    const Piece piece = cut->payload(i);
    const std::span<std::byte> segment =
        frame.subspan(piece.offset - cut->header_size(), cut->header_size() + piece.size);
    cut->write_headers(i, segment);
    wire::PartialChecksum sum;
    sum.add(segment.subspan(cut->header_size()));
    passes.add(packet::Pass::kChecksum, piece.size);
    cut->fill_checksum(segment, sum);
    out.write(at, segment);
  }
}

}  // namespace tideline::nic
