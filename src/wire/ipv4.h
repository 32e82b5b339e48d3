// SPDX-License-Identifier: Apache-2.0
// The IPv4 header and its options: RFC 791, RFC 1122 §3.2.1. Used by packet_layout at ingress, by
// the IP layer on both ways, and for the headers that ICMP errors quote. Thread: any.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "wire/checksum_kernels.h"
#include "wire/drop_reason.h"
#include "wire/endian.h"
#include "wire/ip_address.h"
#include "wire/view.h"

namespace tideline::wire {

struct Ipv4Header {
  std::uint8_t version_ihl;
  std::uint8_t traffic_class;
  be16 total_length;
  be16 identification;
  be16 flags_fragment;
  std::uint8_t ttl;
  std::uint8_t protocol;
  be16 checksum;
  Ipv4Address source;
  Ipv4Address destination;

  static constexpr std::uint16_t kDontFragment = 0x4000;
  static constexpr std::uint16_t kMoreFragments = 0x2000;
  static constexpr std::uint16_t kFragmentOffsetMask = 0x1fff;

  constexpr unsigned version() const { return version_ihl >> 4; }
  constexpr std::size_t header_size() const { return std::size_t{4} * (version_ihl & 0x0fU); }
  constexpr bool dont_fragment() const { return (flags_fragment.value() & kDontFragment) != 0; }
  constexpr bool more_fragments() const { return (flags_fragment.value() & kMoreFragments) != 0; }
  // In bytes.
  constexpr std::uint16_t fragment_offset() const {
    return static_cast<std::uint16_t>((flags_fragment.value() & kFragmentOffsetMask) * 8);
  }
  // Any fragment, the first included.
  constexpr bool is_fragment() const {
    return (flags_fragment.value() & (kMoreFragments | kFragmentOffsetMask)) != 0;
  }
};
static_assert(sizeof(Ipv4Header) == 20);

// Options as they lie in the header, padded to a multiple of 4: nothing above reads them but router
// alert, and an echo reply returns them.
struct Ipv4Options {
  static constexpr std::size_t kMaxSize = 40;

  std::uint8_t size = 0;
  std::array<std::byte, kMaxSize> bytes{};

  constexpr Bytes view() const { return Bytes(bytes).first(size); }
  // RFC 2113: the value, if the option is there.
  std::optional<std::uint16_t> router_alert() const;
  static Ipv4Options with_router_alert(std::uint16_t value = 0);

  friend constexpr bool operator==(const Ipv4Options&, const Ipv4Options&) = default;
};

struct Ipv4 {
  std::uint8_t traffic_class = 0;  // DSCP 6 bits, ECN 2
  std::uint16_t total_length = 0;  // header, options and payload
  std::uint16_t identification = 0;
  bool dont_fragment = false;
  bool more_fragments = false;
  std::uint16_t fragment_offset = 0;  // in bytes, a multiple of 8
  std::uint8_t ttl = 64;
  std::uint8_t protocol = 0;
  Ipv4Address source;
  Ipv4Address destination;
  Ipv4Options options;

  constexpr std::size_t header_size() const { return sizeof(Ipv4Header) + options.size; }
  constexpr std::size_t payload_size() const { return total_length - header_size(); }
  constexpr bool is_fragment() const { return more_fragments || fragment_offset != 0; }
  friend constexpr bool operator==(const Ipv4&, const Ipv4&) = default;
};

// The sum of the fixed part, in two and a half loads; g++ makes slow vectors of a loop.
inline std::uint64_t sum_ipv4_header(const std::byte* header) {
  constexpr std::uint64_t kLow = 0xffffffff;
  const auto first = internal::load_as<std::uint64_t>(header);
  const auto second = internal::load_as<std::uint64_t>(header + 8);
  return (first & kLow) + (first >> 32) + (second & kLow) + (second >> 32) +
         internal::load_as<std::uint32_t>(header + 16);
}

// Checks the header of a packet that came over a wire, and returns the header's size: everything
// that needs no knowledge of our own addresses. `head` holds the packet's first bytes with at least
// the whole header, `size` counts all that lie behind the frame's header, Ethernet padding
// included.
Parsed<std::uint16_t> check_ipv4(Bytes head, std::size_t size);

// True of nearly every packet: no options, whole, an ordinary source, and check_ipv4 would let it
// pass; it takes a third of the time. False says nothing: ask check_ipv4.
inline bool is_plain_ipv4(Bytes head, std::size_t size) {
  if (head.size() < sizeof(Ipv4Header)) return false;
  const auto& header = view_as<Ipv4Header>(head);
  const std::uint8_t source = header.source.bytes()[0];
  const std::size_t total_length = header.total_length.value();
  constexpr std::uint8_t kNoOptions = 0x45;
  constexpr std::uint8_t kLoopback = 127;
  constexpr std::uint8_t kFirstMulticast = 224;
  return header.version_ihl == kNoOptions && total_length >= sizeof(Ipv4Header) &&
         total_length <= size && !header.is_fragment() && source != 0 && source < kFirstMulticast &&
         source != kLoopback && header.destination.bytes()[0] != kLoopback &&
         fold_sum(sum_ipv4_header(head.data())) == 0xffff;
}

// check_ipv4 and the values. Bytes behind total_length are padding.
Parsed<Ipv4> parse_ipv4(Bytes packet);

// Checks options, without the header before them: RFC 791 §3.1, RFC 1122 §3.2.1.8, RFC 7126.
Parsed<void> check_ipv4_options(Bytes options);

// Where in a header, all of it there, an option is wrong: the octet that a parameter problem names
// (RFC 1122 §3.2.2.5). Nothing if none is, or if it is a source route, which is not wrong.
std::optional<std::uint8_t> ipv4_option_problem_at(Bytes header);
// Whether a packet was dropped for that alone: its header is as it should be.
constexpr bool is_ipv4_option_problem(DropReason reason) {
  return reason == DropReason::kIpv4OptionLength || reason == DropReason::kIpv4OptionPointer ||
         reason == DropReason::kIpv4OptionBeyondHeader;
}

// Writes header_size() bytes with the header checksum, and returns their number.
std::size_t emit(const Ipv4& ipv4, MutableBytes out);

}  // namespace tideline::wire
