// SPDX-License-Identifier: Apache-2.0
// The TCP header: RFC 9293 §3.1. Its options are in tcp_options.h. Thread: any.
#pragma once

#include <cstdint>

#include "wire/checksum.h"
#include "wire/drop_reason.h"
#include "wire/endian.h"
#include "wire/tcp_options.h"
#include "wire/view.h"

namespace tideline::wire {

inline constexpr std::uint16_t kTcpFin = 0x001;
inline constexpr std::uint16_t kTcpSyn = 0x002;
inline constexpr std::uint16_t kTcpRst = 0x004;
inline constexpr std::uint16_t kTcpPsh = 0x008;
inline constexpr std::uint16_t kTcpAck = 0x010;
inline constexpr std::uint16_t kTcpUrg = 0x020;
inline constexpr std::uint16_t kTcpEce = 0x040;
inline constexpr std::uint16_t kTcpCwr = 0x080;
inline constexpr std::uint16_t kTcpAe = 0x100;  // RFC 9768
// The three bits above are reserved: ignored and sent as zero.
inline constexpr std::uint16_t kTcpFlagMask = 0x1ff;

struct TcpHeader {
  be16 source_port;
  be16 destination_port;
  be32 sequence_number;
  be32 acknowledgment_number;
  be16 offset_flags;
  be16 window;
  be16 checksum;
  be16 urgent_pointer;

  constexpr std::size_t header_size() const {
    return std::size_t{4} * (offset_flags.value() >> 12);
  }
  constexpr std::uint16_t flags() const { return offset_flags.value() & kTcpFlagMask; }
};
static_assert(sizeof(TcpHeader) == 20);

struct Tcp {
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint32_t sequence_number = 0;
  std::uint32_t acknowledgment_number = 0;
  std::uint16_t flags = 0;
  std::uint16_t window = 0;  // as sent: not yet scaled
  std::uint16_t checksum = 0;
  std::uint16_t urgent_pointer = 0;  // an offset that may lie anywhere: RFC 6093
  TcpOptions options;

  // Of what emit writes. A received header may be longer: its size is in the PacketLayout.
  std::size_t header_size() const { return sizeof(TcpHeader) + emitted_size(options); }
  friend constexpr bool operator==(const Tcp&, const Tcp&) = default;
};

// Checks the header at the front of `head` and returns its size with options; `size` counts the
// segment, `head` may hold less of it. Options are not looked at.
inline Parsed<std::uint16_t> check_tcp(Bytes head, std::size_t size) {
  if (size < sizeof(TcpHeader)) return drop(DropReason::kTcpShort);
  if (head.size() < sizeof(TcpHeader)) return drop(DropReason::kHeadersScattered);
  const std::size_t header_size = view_as<TcpHeader>(head).header_size();
  if (header_size < sizeof(TcpHeader)) return drop(DropReason::kTcpDataOffsetBelowHeader);
  if (header_size > size) return drop(DropReason::kTcpDataOffsetBeyondSegment);
  if (header_size > head.size()) return drop(DropReason::kHeadersScattered);
  return static_cast<std::uint16_t>(header_size);
}

// check_tcp and the values, with options. `segment` holds at least the whole header.
Parsed<Tcp> parse_tcp(Bytes segment);

// `sum` covers the pseudo-header and the segment, checksum field included.
Parsed<void> check_tcp_checksum(const PartialChecksum& sum);

// Writes header_size() bytes and returns their number.
std::size_t emit(const Tcp& tcp, MutableBytes out);

}  // namespace tideline::wire
