// SPDX-License-Identifier: Apache-2.0
// ICMPv6 echo and errors: RFC 4443, RFC 8201. Neighbour discovery is in ndp.h. Thread: any.
#pragma once

#include <cstdint>

#include "wire/checksum.h"
#include "wire/drop_reason.h"
#include "wire/endian.h"
#include "wire/icmp_quote.h"
#include "wire/ip_address.h"
#include "wire/view.h"

namespace tideline::wire {

enum class Icmpv6Type : std::uint8_t {
  kUnreachable = 1,
  kPacketTooBig = 2,
  kTimeExceeded = 3,
  kParameterProblem = 4,
  kEchoRequest = 128,
  kEchoReply = 129,
};

// Codes of kUnreachable: RFC 4443 §3.1.
inline constexpr std::uint8_t kIcmpv6NoRoute = 0;
inline constexpr std::uint8_t kIcmpv6AddressUnreachable = 3;
inline constexpr std::uint8_t kIcmpv6PortUnreachable = 4;
// Codes of kTimeExceeded.
inline constexpr std::uint8_t kIcmpv6HopLimitExceeded = 0;
inline constexpr std::uint8_t kIcmpv6ReassemblyExceeded = 1;
// Codes of kParameterProblem; parameter_problem_code (ipv6_extensions.h) chooses among the others.
inline constexpr std::uint8_t kIcmpv6UnknownNextHeader = 1;

// RFC 4443 §2.4 (e): errors are the types below 128, and none is ever sent about one.
constexpr bool is_icmpv6_error_type(std::uint8_t type) { return type < 128; }

struct Icmpv6Header {
  std::uint8_t type;
  std::uint8_t code;
  be16 checksum;
  be32 body;  // echo: identifier and sequence number; packet too big: MTU; problem: pointer
};
static_assert(sizeof(Icmpv6Header) == 8);

using Ipv6Quote = IcmpQuote<Ipv6Address>;

struct Icmpv6 {
  // Of an error it may be one that has no name here.
  Icmpv6Type type = Icmpv6Type::kEchoRequest;
  std::uint8_t code = 0;
  std::uint16_t checksum = 0;
  std::uint16_t identifier = 0;  // echo
  std::uint16_t sequence = 0;    // echo
  std::uint32_t mtu = 0;         // packet too big; at least 1280
  std::uint32_t pointer = 0;     // parameter problem
  Ipv6Quote quote;               // errors

  constexpr bool is_echo() const {
    return type == Icmpv6Type::kEchoRequest || type == Icmpv6Type::kEchoReply;
  }
  constexpr bool is_error() const { return !is_echo(); }
  friend constexpr bool operator==(const Icmpv6&, const Icmpv6&) = default;
};

// `message` holds the header, and for an error the quoted headers with 8 bytes behind them; the
// rest of an echo may lie elsewhere. Its checksum is verified apart, by check_icmpv6_checksum.
Parsed<Icmpv6> parse_icmpv6(Bytes message);

// `sum` covers the pseudo-header and the whole message, checksum field included.
Parsed<void> check_icmpv6_checksum(const PartialChecksum& sum);

// Writes the 8 bytes of the header and returns their number; echo data or the quoted packet follow.
std::size_t emit(const Icmpv6& icmpv6, MutableBytes out);

}  // namespace tideline::wire
