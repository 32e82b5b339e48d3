// SPDX-License-Identifier: Apache-2.0
// The IPv6 header: RFC 8200 §3. Its extension headers are in ipv6_extensions.h. Thread: any.
#pragma once

#include <cstdint>

#include "wire/drop_reason.h"
#include "wire/endian.h"
#include "wire/ip_address.h"
#include "wire/view.h"

namespace tideline::wire {

// RFC 8200 §5: every link carries this much.
inline constexpr std::uint16_t kIpv6MinimumMtu = 1280;

struct Ipv6Header {
  be32 version_class_flow;
  be16 payload_length;
  std::uint8_t next_header;
  std::uint8_t hop_limit;
  Ipv6Address source;
  Ipv6Address destination;

  constexpr unsigned version() const { return version_class_flow.value() >> 28; }
};
static_assert(sizeof(Ipv6Header) == 40);

struct Ipv6 {
  std::uint8_t traffic_class = 0;    // DSCP 6 bits, ECN 2
  std::uint32_t flow_label = 0;      // 20 bits
  std::uint16_t payload_length = 0;  // extension headers and what follows
  std::uint8_t next_header = 0;
  std::uint8_t hop_limit = 64;
  Ipv6Address source;
  Ipv6Address destination;

  friend constexpr bool operator==(const Ipv6&, const Ipv6&) = default;
};

// Checks the header of a packet that came over a wire: everything that needs no knowledge of our
// own addresses. `head` holds the packet's first bytes, `size` counts all that lie behind the
// frame's header, Ethernet padding included. Returns the payload length.
Parsed<std::uint16_t> check_ipv6(Bytes head, std::size_t size);

// check_ipv6 and the values. Bytes behind the payload length are padding.
Parsed<Ipv6> parse_ipv6(Bytes packet);

// Writes 40 bytes and returns their number.
std::size_t emit(const Ipv6& ipv6, MutableBytes out);

}  // namespace tideline::wire
