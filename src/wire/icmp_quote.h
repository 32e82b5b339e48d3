// SPDX-License-Identifier: Apache-2.0
// What ICMP and ICMPv6 errors tell of the packet that they are about. Thread: any.
#pragma once

#include <cstdint>

#include "wire/endian.h"

namespace tideline::wire {

// The first 8 bytes of a transport header: as many as every ICMP error quotes.
struct QuotedTransport {
  be16 first;
  be16 second;
  be32 third;

  friend constexpr bool operator==(const QuotedTransport&, const QuotedTransport&) = default;
};
static_assert(sizeof(QuotedTransport) == 8);

// The packet that we are said to have sent. Whether we did is the transport's to check: RFC 5927
// §4.
template <typename Address>
struct IcmpQuote {
  Address source;
  Address destination;
  std::uint8_t protocol = 0;
  QuotedTransport transport;

  // TCP and UDP.
  constexpr std::uint16_t source_port() const { return transport.first.value(); }
  constexpr std::uint16_t destination_port() const { return transport.second.value(); }
  // TCP.
  constexpr std::uint32_t sequence_number() const { return transport.third.value(); }
  // Echo.
  constexpr std::uint8_t icmp_type() const {
    return static_cast<std::uint8_t>(transport.first.value() >> 8);
  }
  constexpr std::uint16_t icmp_identifier() const {
    return static_cast<std::uint16_t>(transport.third.value() >> 16);
  }

  friend constexpr bool operator==(const IcmpQuote&, const IcmpQuote&) = default;
};

}  // namespace tideline::wire
