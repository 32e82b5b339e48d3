// SPDX-License-Identifier: Apache-2.0
// Ethernet II frames and their VLAN tags (IEEE 802.3, 802.1Q). Used by packet_layout at ingress and
// by whoever builds frames. Thread: any.
#pragma once

#include <array>
#include <cstdint>

#include "wire/drop_reason.h"
#include "wire/endian.h"
#include "wire/mac_address.h"
#include "wire/view.h"

namespace tideline::wire {

inline constexpr std::uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr std::uint16_t kEtherTypeArp = 0x0806;
inline constexpr std::uint16_t kEtherTypeVlan = 0x8100;
inline constexpr std::uint16_t kEtherTypeIpv6 = 0x86dd;
inline constexpr std::uint16_t kEtherTypeServiceVlan = 0x88a8;
// Below this the field is an IEEE 802.3 length.
inline constexpr std::uint16_t kEtherTypeMinimum = 0x0600;

struct EthernetHeader {
  MacAddress destination;
  MacAddress source;
  be16 ether_type;
};
static_assert(sizeof(EthernetHeader) == 14);

// What follows the EtherType 0x8100 or 0x88a8.
struct VlanHeader {
  be16 tci;
  be16 ether_type;
};
static_assert(sizeof(VlanHeader) == 4);

inline constexpr std::size_t kMaxVlanTags = 2;

struct VlanTag {
  std::uint16_t ether_type = kEtherTypeVlan;
  std::uint16_t tci = 0;  // priority 3 bits, drop eligible 1, VLAN id 12

  constexpr std::uint16_t id() const { return tci & 0x0fff; }
  friend constexpr bool operator==(const VlanTag&, const VlanTag&) = default;
};

struct Ethernet {
  MacAddress destination;
  MacAddress source;
  std::uint16_t ether_type = 0;              // behind the tags
  std::uint8_t tag_count = 0;                //
  std::array<VlanTag, kMaxVlanTags> tags{};  // outer first; those beyond tag_count are blank

  constexpr std::size_t header_size() const {
    return sizeof(EthernetHeader) + tag_count * sizeof(VlanHeader);
  }
  friend constexpr bool operator==(const Ethernet&, const Ethernet&) = default;
};

constexpr bool is_vlan(std::uint16_t ether_type) {
  return ether_type == kEtherTypeVlan || ether_type == kEtherTypeServiceVlan;
}

// `head` holds the first bytes of a frame of `frame_size`.
Parsed<Ethernet> parse_ethernet(Bytes head, std::size_t frame_size);

inline Parsed<Ethernet> parse_ethernet(Bytes frame) { return parse_ethernet(frame, frame.size()); }

// Writes header_size() bytes and returns their number.
std::size_t emit(const Ethernet& ethernet, MutableBytes out);

}  // namespace tideline::wire
