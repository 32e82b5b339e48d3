// SPDX-License-Identifier: Apache-2.0
// UDP: RFC 768, RFC 1122 §4.1, RFC 8200 §8.1. Thread: any.
#pragma once

#include <cstdint>

#include "wire/checksum.h"
#include "wire/drop_reason.h"
#include "wire/endian.h"
#include "wire/view.h"

namespace tideline::wire {

struct UdpHeader {
  be16 source_port;
  be16 destination_port;
  be16 length;
  be16 checksum;
};
static_assert(sizeof(UdpHeader) == 8);

struct Udp {
  std::uint16_t source_port = 0;  // 0: the sender expects no answer
  std::uint16_t destination_port = 0;
  std::uint16_t length = 0;    // header and payload
  std::uint16_t checksum = 0;  // 0: none

  friend constexpr bool operator==(const Udp&, const Udp&) = default;
};

// Who may leave the checksum out.
enum class UdpChecksumRule : std::uint8_t {
  kOptional,  // over IPv4: RFC 1122 §4.1.3.4
  kRequired,  // over IPv6: RFC 8200 §8.1
};

// Checks the header at the front of `head`; `size` counts the IP payload, `head` may hold less of
// it. Returns the datagram's length, which may be less than `size`.
inline Parsed<std::uint16_t> check_udp(Bytes head, std::size_t size) {
  if (size < sizeof(UdpHeader)) return drop(DropReason::kUdpShort);
  if (head.size() < sizeof(UdpHeader)) return drop(DropReason::kHeadersScattered);
  const auto& header = view_as<UdpHeader>(head);
  const std::uint16_t length = header.length.value();
  if (length < sizeof(UdpHeader)) return drop(DropReason::kUdpLengthBelowHeader);
  if (length > size) return drop(DropReason::kUdpLengthBeyondPacket);
  if (header.destination_port == be16(0)) return drop(DropReason::kUdpDestinationPortZero);
  return length;
}

// check_udp and the values. `payload` is the whole IP payload.
Parsed<Udp> parse_udp(Bytes payload);

// `sum` covers the pseudo-header and the datagram up to its length, checksum field included.
Parsed<void> check_udp_checksum(const Udp& udp, const PartialChecksum& sum, UdpChecksumRule rule);

// What the field holds for a computed checksum: 0 means "none", so its equal ffff stands for it.
constexpr std::uint16_t udp_checksum_field(std::uint16_t computed) {
  return computed == 0 ? 0xffff : computed;
}

// Writes 8 bytes and returns their number.
std::size_t emit(const Udp& udp, MutableBytes out);

}  // namespace tideline::wire
