// SPDX-License-Identifier: Apache-2.0
// Neighbour discovery: RFC 4861, with the prefix option of RFC 4862 and the preference of RFC 4191.
// Used by the IPv6 neighbour
// table and by address configuration. Thread: any.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <variant>

#include "wire/drop_reason.h"
#include "wire/endian.h"
#include "wire/ip_address.h"
#include "wire/mac_address.h"
#include "wire/view.h"

namespace tideline::wire {

inline constexpr std::uint8_t kNdpRouterSolicitation = 133;
inline constexpr std::uint8_t kNdpRouterAdvertisement = 134;
inline constexpr std::uint8_t kNdpNeighbourSolicitation = 135;
inline constexpr std::uint8_t kNdpNeighbourAdvertisement = 136;
inline constexpr std::uint8_t kNdpRedirect = 137;

// The hop limit that proves that no router has passed the message on.
inline constexpr std::uint8_t kNdpHopLimit = 255;

constexpr bool is_ndp_type(std::uint8_t icmpv6_type) {
  return icmpv6_type >= kNdpRouterSolicitation && icmpv6_type <= kNdpRedirect;
}

struct NdpPrefix {
  Ipv6Prefix prefix;
  bool on_link = false;
  bool autonomous = false;
  std::uint32_t valid_lifetime = 0;  // seconds; ffffffff is for ever, as below
  std::uint32_t preferred_lifetime = 0;

  friend constexpr bool operator==(const NdpPrefix&, const NdpPrefix&) = default;
};

struct RouterSolicitation {
  std::optional<MacAddress> source_mac;

  friend constexpr bool operator==(const RouterSolicitation&, const RouterSolicitation&) = default;
};

// RFC 4191 §2.1.
enum class RouterPreference : std::int8_t { kLow = -1, kMedium = 0, kHigh = 1 };

struct RouterAdvertisement {
  // More prefixes than this in one advertisement are ignored.
  static constexpr std::size_t kMaxPrefixes = 8;

  std::uint8_t hop_limit = 0;  // 0: unspecified, as below
  bool managed = false;        // addresses by DHCPv6
  bool other_config = false;   // the rest by DHCPv6
  RouterPreference preference = RouterPreference::kMedium;
  std::uint16_t router_lifetime = 0;   // seconds; 0: no default router
  std::uint32_t reachable_time = 0;    // milliseconds
  std::uint32_t retransmit_timer = 0;  // milliseconds
  std::optional<MacAddress> source_mac;
  std::optional<std::uint32_t> mtu;
  std::uint8_t prefix_count = 0;
  std::array<NdpPrefix, kMaxPrefixes> prefixes{};

  friend constexpr bool operator==(const RouterAdvertisement&,
                                   const RouterAdvertisement&) = default;
};

struct NeighbourSolicitation {
  Ipv6Address target;
  std::optional<MacAddress> source_mac;

  friend constexpr bool operator==(const NeighbourSolicitation&,
                                   const NeighbourSolicitation&) = default;
};

struct NeighbourAdvertisement {
  bool router = false;
  bool solicited = false;
  bool override_cache = false;
  Ipv6Address target;
  std::optional<MacAddress> target_mac;

  friend constexpr bool operator==(const NeighbourAdvertisement&,
                                   const NeighbourAdvertisement&) = default;
};

struct Redirect {
  Ipv6Address target;  // the better first hop; equal to destination if that is a neighbour
  Ipv6Address destination;
  std::optional<MacAddress> target_mac;

  friend constexpr bool operator==(const Redirect&, const Redirect&) = default;
};

using Ndp = std::variant<RouterSolicitation, RouterAdvertisement, NeighbourSolicitation,
                         NeighbourAdvertisement, Redirect>;

// What the message's validity depends on: fields of the IPv6 header that carried it.
struct NdpCarrier {
  Ipv6Address source;
  Ipv6Address destination;
  std::uint8_t hop_limit = kNdpHopLimit;
};

// `message` is the whole ICMPv6 message of a type for which is_ndp_type holds, its checksum already
// verified. Checks all that RFC 4861 §6.1, §7.1 and §8.1 ask of a receiver but what needs our
// tables.
Parsed<Ndp> parse_ndp(Bytes message, const NdpCarrier& carrier);

// Writes the whole ICMPv6 message with a zero checksum and returns its size.
std::size_t emit(const Ndp& ndp, MutableBytes out);

// The largest that emit writes.
inline constexpr std::size_t kMaxNdpSize = 16 + 8 + 8 + RouterAdvertisement::kMaxPrefixes * 32;

}  // namespace tideline::wire
