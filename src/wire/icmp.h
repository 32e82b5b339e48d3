// SPDX-License-Identifier: Apache-2.0
// ICMP for IPv4: RFC 792, RFC 1122 §3.2.2, RFC 1191. The headers that errors quote are parsed here
// too, so that transports can look their connection up. Thread: any.
#pragma once

#include <cstdint>

#include "wire/checksum.h"
#include "wire/drop_reason.h"
#include "wire/endian.h"
#include "wire/icmp_quote.h"
#include "wire/ip_address.h"
#include "wire/view.h"

namespace tideline::wire {

enum class IcmpType : std::uint8_t {
  kEchoReply = 0,
  kUnreachable = 3,
  kRedirect = 5,
  kEchoRequest = 8,
  kTimeExceeded = 11,
  kParameterProblem = 12,
};

// Codes of kUnreachable: RFC 792, RFC 1122 §3.2.2.1.
inline constexpr std::uint8_t kIcmpNetworkUnreachable = 0;
inline constexpr std::uint8_t kIcmpHostUnreachable = 1;
inline constexpr std::uint8_t kIcmpProtocolUnreachable = 2;
inline constexpr std::uint8_t kIcmpPortUnreachable = 3;
inline constexpr std::uint8_t kIcmpFragmentationNeeded = 4;
// Codes of kRedirect: of a network, a host, and both for a type of service.
inline constexpr std::uint8_t kIcmpLastRedirect = 3;
// Codes of kTimeExceeded.
inline constexpr std::uint8_t kIcmpTtlExceeded = 0;
inline constexpr std::uint8_t kIcmpReassemblyExceeded = 1;

// RFC 791 §3.2: every link carries this much.
inline constexpr std::uint16_t kIpv4MinimumMtu = 68;

struct IcmpHeader {
  std::uint8_t type;
  std::uint8_t code;
  be16 checksum;
  be16 high;  // echo: identifier; parameter problem: pointer in the upper byte
  be16 low;   // echo: sequence number; fragmentation needed: MTU of the next hop; redirect: both
};
static_assert(sizeof(IcmpHeader) == 8);

using Ipv4Quote = IcmpQuote<Ipv4Address>;

struct Icmp {
  IcmpType type = IcmpType::kEchoRequest;
  std::uint8_t code = 0;
  std::uint16_t checksum = 0;
  std::uint16_t identifier = 0;    // echo
  std::uint16_t sequence = 0;      // echo
  std::uint16_t next_hop_mtu = 0;  // unreachable, fragmentation needed; at least 68
  std::uint8_t pointer = 0;        // parameter problem
  Ipv4Address gateway;             // redirect: the better first hop
  Ipv4Quote quote;                 // errors, and what a redirect is about

  constexpr bool is_echo() const {
    return type == IcmpType::kEchoRequest || type == IcmpType::kEchoReply;
  }
  constexpr bool is_error() const { return !is_echo(); }
  friend constexpr bool operator==(const Icmp&, const Icmp&) = default;
};

// `message` holds the header, and for an error the quoted headers with 8 bytes behind them; the
// rest of an echo may lie elsewhere. Its checksum is verified apart, by check_icmp_checksum.
Parsed<Icmp> parse_icmp(Bytes message);

// `sum` covers the whole message, checksum field included.
Parsed<void> check_icmp_checksum(const PartialChecksum& sum);

// RFC 1122 §3.2.2: no error is ever sent about an error of any type.
constexpr bool is_icmp_error_type(std::uint8_t type) {
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

// Writes the 8 bytes of the header and returns their number; echo data or the quoted packet follow.
std::size_t emit(const Icmp& icmp, MutableBytes out);

}  // namespace tideline::wire
