// SPDX-License-Identifier: Apache-2.0
// IPv6 extension headers: RFC 8200 §4, RFC 5095, RFC 7112. The walk is bounded, and ends at the
// upper-layer header or, in a fragment, at the fragment's data. Thread: any.
#pragma once

#include <cstdint>
#include <optional>

#include "wire/drop_reason.h"
#include "wire/endian.h"
#include "wire/protocol.h"
#include "wire/view.h"

namespace tideline::wire {

// More than any legitimate packet has: RFC 8200 §4.1 names seven places.
inline constexpr unsigned kMaxIpv6Extensions = 8;

constexpr bool is_ipv6_extension(std::uint8_t protocol) {
  return protocol == kProtocolHopByHop || protocol == kProtocolRouting ||
         protocol == kProtocolFragment || protocol == kProtocolDestinationOptions;
}

// The first 2 bytes of all but the fragment header.
struct Ipv6ExtensionHeader {
  std::uint8_t next_header;
  std::uint8_t length;  // in units of 8 bytes, the first 8 not counted

  constexpr std::size_t size() const { return std::size_t{8} * (length + 1U); }
};
static_assert(sizeof(Ipv6ExtensionHeader) == 2);

struct Ipv6RoutingHeader {
  Ipv6ExtensionHeader extension;
  std::uint8_t type;
  std::uint8_t segments_left;
};
static_assert(sizeof(Ipv6RoutingHeader) == 4);

struct Ipv6FragmentHeader {
  std::uint8_t next_header;
  std::uint8_t reserved;
  be16 offset_more;
  be32 identification;

  // In bytes.
  constexpr std::uint16_t offset() const { return offset_more.value() & 0xfff8; }
  constexpr bool more() const { return (offset_more.value() & 1) != 0; }
};
static_assert(sizeof(Ipv6FragmentHeader) == 8);

struct Ipv6Fragment {
  std::uint8_t next_header = 0;
  std::uint16_t offset = 0;  // in bytes, a multiple of 8
  bool more = false;
  std::uint32_t identification = 0;

  friend constexpr bool operator==(const Ipv6Fragment&, const Ipv6Fragment&) = default;
};

// Why a packet was refused, with the octet, counted from the IPv6 header, that an ICMPv6 parameter
// problem points at. An expected<Value, DropReason> has no place for it.
struct Refusal {
  DropReason reason;
  std::uint32_t pointer = 0;

  friend constexpr bool operator==(const Refusal&, const Refusal&) = default;
};

// All offsets count from the IPv6 header.
struct Ipv6Extensions {
  std::uint8_t protocol = 0;           // of what lies at `upper`
  std::uint16_t upper = 0;             // upper-layer header; in a fragment, its data
  std::uint16_t fragment = 0;          // fragment header, 0 if there is none
  std::uint16_t fragment_next_at = 0;  // the octet that names the fragment header
  std::optional<std::uint16_t> router_alert;

  friend constexpr bool operator==(const Ipv6Extensions&, const Ipv6Extensions&) = default;
};

// Walks the extension headers of a packet that check_ipv6 has accepted. `head` holds the packet's
// first bytes, `packet_size` counts header and payload length. A fragment header with offset 0 and
// nothing to follow is walked over (RFC 6946); behind any other the walk ends.
std::expected<Ipv6Extensions, Refusal> parse_ipv6_extensions(Bytes head, std::size_t packet_size);

struct Ipv6UpperLayer {
  std::uint8_t protocol = 0;
  std::uint16_t at = 0;  // from the IPv6 header

  friend constexpr bool operator==(const Ipv6UpperLayer&, const Ipv6UpperLayer&) = default;
};

// What a packet carries whose extension headers are not to be judged, for it was refused: finds it
// by their lengths alone. Nothing if `packet` ends before it, or it lies in another fragment.
std::optional<Ipv6UpperLayer> find_ipv6_upper_layer(Bytes packet);

// Parses the fragment header at the front of `bytes`, where the walk has found one.
Parsed<Ipv6Fragment> parse_ipv6_fragment(Bytes bytes);

// Writes 8 bytes and returns their number.
std::size_t emit(const Ipv6Fragment& fragment, MutableBytes out);

// Writes hop-by-hop options with a router alert (RFC 2711) before `next_header`: 8 bytes.
std::size_t emit_router_alert(std::uint8_t next_header, std::uint16_t value, MutableBytes out);

// What RFC 8200 §4.2 and §4 make of a refusal: the code of an ICMPv6 parameter problem to send to
// the source, or nothing. `to_multicast` is the packet's destination.
std::optional<std::uint8_t> parameter_problem_code(DropReason reason, bool to_multicast);

}  // namespace tideline::wire
