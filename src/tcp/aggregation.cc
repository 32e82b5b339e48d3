// SPDX-License-Identifier: Apache-2.0
#include "tcp/aggregation.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "packet/checksum.h"
#include "wire/ethernet.h"
#include "wire/protocol.h"

namespace tideline::tcp {
namespace {

using packet::Packet;
using wire::Bytes;
using wire::PacketLayout;

// Those of ECN may be any, if all segments have the same: with accurate ECN (RFC 9768) they are a
// counter.
constexpr std::uint16_t kPlainFlags =
    wire::kTcpAck | wire::kTcpPsh | wire::kTcpAe | wire::kTcpCwr | wire::kTcpEce;

// The bytes in which two segments of one aggregate must agree: all headers, but for the fields that
// the caller blanks out.
Bytes headers(const Packet& frame, const PacketLayout& layout) {
  return frame.first().bytes().first(layout.payload);
}

template <typename Header, typename Blank>
bool agree(Bytes a, Bytes b, std::size_t at, const Blank& blank) {
  Header first = wire::view_as<Header>(a.subspan(at));
  Header second = wire::view_as<Header>(b.subspan(at));
  blank(first);
  blank(second);
  return std::memcmp(&first, &second, sizeof(Header)) == 0;
}

bool is_one_flow(Bytes a, Bytes b, const PacketLayout& layout) {
  const auto addresses = layout.ip_version == 4 ? std::size_t{8} : std::size_t{32};
  const std::size_t at = layout.l4 - addresses;
  // Both addresses and, behind them, both ports.
  return std::memcmp(a.data() + at, b.data() + at, addresses + 4) == 0;
}

bool ip_agrees(Bytes a, Bytes b, const PacketLayout& layout) {
  if (layout.ip_version == 4) {
    return agree<wire::Ipv4Header>(a, b, layout.l3, [](wire::Ipv4Header& header) {
      header.total_length = {};
      header.identification = {};
      header.checksum = {};
    });
  }
  return agree<wire::Ipv6Header>(a, b, layout.l3,
                                 [](wire::Ipv6Header& header) { header.payload_length = {}; });
}

bool tcp_agrees(Bytes a, Bytes b, const PacketLayout& layout) {
  const bool fixed = agree<wire::TcpHeader>(a, b, layout.l4, [](wire::TcpHeader& header) {
    header.sequence_number = {};
    header.checksum = {};
    header.urgent_pointer = {};
    header.offset_flags =
        wire::be16(static_cast<std::uint16_t>(header.offset_flags.value() & ~wire::kTcpPsh));
  });
  const std::size_t options = layout.l4 + sizeof(wire::TcpHeader);
  return fixed &&
         std::memcmp(a.data() + options, b.data() + options, layout.payload - options) == 0;
}

void set_ip_length(wire::MutableBytes frame, const PacketLayout& layout) {
  const auto length = static_cast<std::uint16_t>(layout.l3_size());
  if (layout.ip_version == 6) {
    wire::view_as<wire::Ipv6Header>(frame.subspan(layout.l3)).payload_length =
        wire::be16(static_cast<std::uint16_t>(length - sizeof(wire::Ipv6Header)));
    return;
  }
  auto& header = wire::view_as<wire::Ipv4Header>(frame.subspan(layout.l3));
  header.checksum = wire::be16(
      wire::update_checksum(header.checksum.value(), header.total_length.value(), length));
  header.total_length = wire::be16(length);
}

}  // namespace

void Aggregator::run(packet::Burst& burst) {
  if (burst.size() < 2) return;
  std::size_t count = 0;
  bool gaps = false;
  for (std::size_t slot = 0; slot < burst.size(); ++slot) {
    auto next = examine(*burst[slot], slot);
    if (!next) continue;
    const auto found = std::find_if(open_.begin(), open_.begin() + count, [&](const Open& each) {
      return each.layout.ip_version == next->layout.ip_version &&
             each.layout.l4 == next->layout.l4 &&
             is_one_flow(burst[each.slot]->first().bytes(), burst[slot]->first().bytes(),
                         next->layout);
    });
    if (found == open_.begin() + count) {
      open_[count++] = *next;
    } else if (follows(burst, *found, *next) && is_intact(*burst[found->slot], found->layout) &&
               is_intact(*burst[slot], next->layout)) {
      join(burst, *found, *next);
      gaps = true;
    } else {
      // What comes later must not pass this frame.
      *found = *next;
    }
  }
  if (gaps) burst.compact();
}

// Any segment of TCP gets a place in the order; only those with data and plain flags are joined.
std::optional<Aggregator::Open> Aggregator::examine(Packet& frame, std::size_t slot) const {
  const Bytes head = frame.first().bytes();
  const auto layout = wire::parse_layout(head, frame.size());
  if (!layout || layout->protocol != wire::kProtocolTcp || layout->is_fragment()) {
    return std::nullopt;
  }
  const std::size_t plain =
      layout->ip_version == 4 ? sizeof(wire::Ipv4Header) : sizeof(wire::Ipv6Header);
  if (head.size() < layout->payload || frame.first().borrowed() ||
      static_cast<std::size_t>(layout->l4 - layout->l3) != plain) {
    return std::nullopt;
  }
  const wire::TcpHeader& tcp = layout->tcp(head);
  const std::size_t size = layout->payload_size();
  const std::uint16_t gso_size = frame.meta().offload.gso_size;
  Open open{.slot = slot, .layout = *layout};
  open.next_seq = tcp.sequence_number.value() + static_cast<std::uint32_t>(size);
  open.unit = gso_size != 0 ? gso_size : static_cast<std::uint16_t>(size);
  if (size == 0 || (tcp.flags() & ~kPlainFlags) != 0 || (tcp.flags() & wire::kTcpAck) == 0) {
    open.unit = 0;  // nothing is joined to it
  }
  return open;
}

bool Aggregator::follows(const packet::Burst& burst, const Open& open, const Open& next) const {
  const Packet& first = *burst[open.slot];
  const Packet& second = *burst[next.slot];
  if (open.unit == 0 || next.unit == 0) return false;
  const Bytes a = headers(first, open.layout);
  const Bytes b = headers(second, next.layout);
  if (a.size() != b.size()) return false;
  const bool complete = open.layout.payload_size() % open.unit == 0 &&
                        (open.layout.tcp(a).flags() & wire::kTcpPsh) == 0;
  const std::size_t size = next.layout.payload_size();
  const bool fits = size <= open.unit || (next.unit == open.unit && size > 0);
  const std::size_t l3_size = open.layout.l3_size() + size;
  return complete && fits && l3_size <= wire::kMaxDatagram &&
         next.layout.tcp(b).sequence_number.value() == open.next_seq &&
         std::memcmp(a.data(), b.data(), open.layout.l3) == 0 && ip_agrees(a, b, open.layout) &&
         tcp_agrees(a, b, open.layout);
}

// Only what is intact may lose its checksum.
bool Aggregator::is_intact(Packet& frame, const PacketLayout& layout) {
  if (frame.meta().offload.checksum != packet::Checksum::kInPacket) return true;
  const Bytes head = frame.first().bytes();
  const auto length = static_cast<std::uint32_t>(layout.l4_size());
  wire::PartialChecksum sum;
  if (layout.ip_version == 4) {
    const auto& ip = layout.ipv4(head);
    sum = wire::pseudo_header(ip.source, ip.destination, wire::kProtocolTcp, length);
  } else {
    const auto& ip = layout.ipv6(head);
    sum = wire::pseudo_header(ip.source, ip.destination, wire::kProtocolTcp, length);
  }
  sum.add(packet::sum_range(frame, layout.l4, length, passes_));
  if (!sum.valid()) return false;  // TCP drops it, and counts
  frame.meta().offload.checksum = packet::Checksum::kValid;
  return true;
}

void Aggregator::join(packet::Burst& burst, Open& open, const Open& next) {
  Packet& frame = *burst[open.slot];
  packet::PacketPtr tail = std::move(burst[next.slot]);
  const bool push = (next.layout.tcp(tail->first().bytes()).flags() & wire::kTcpPsh) != 0;
  const std::size_t size = next.layout.payload_size();
  tail->truncate(next.layout.end);
  tail->trim_front(next.layout.payload);
  frame.truncate(open.layout.end);  // padding of a short frame
  frame.append(std::move(tail));
  open.layout.end += static_cast<std::uint32_t>(size);
  open.next_seq += static_cast<std::uint32_t>(size);
  const wire::MutableBytes head = frame.first().writable();
  set_ip_length(head, open.layout);
  if (push) {
    auto& tcp = wire::view_as<wire::TcpHeader>(head.subspan(open.layout.l4));
    tcp.offset_flags =
        wire::be16(static_cast<std::uint16_t>(tcp.offset_flags.value() | wire::kTcpPsh));
  }
  packet::Offload& offload = frame.meta().offload;
  offload.checksum = packet::Checksum::kValid;
  offload.gso = open.layout.ip_version == 4 ? packet::Gso::kTcpV4 : packet::Gso::kTcpV6;
  offload.gso_size = open.unit;
  offload.header_length = open.layout.payload;
  ++joined_;
}

}  // namespace tideline::tcp
