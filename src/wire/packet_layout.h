// SPDX-License-Identifier: Apache-2.0
// Where everything lies in a received frame: computed once at ingress, after which nobody adds
// header sizes and no access can leave the frame. Thread: any.
//
//   0            l3             l4             payload              end          frame size
//   | Ethernet   | IP, options, | TCP or UDP   | what the protocol  | Ethernet   |
//   | VLAN tags  | extensions   | with options | carries            | padding    |
#pragma once

#include <algorithm>
#include <cstdint>
#include <expected>
#include <optional>

#include "wire/drop_reason.h"
#include "wire/ethernet.h"
#include "wire/ipv4.h"
#include "wire/ipv6.h"
#include "wire/ipv6_extensions.h"
#include "wire/roce.h"
#include "wire/tcp.h"
#include "wire/udp.h"
#include "wire/view.h"

namespace tideline::wire {

enum class LinkCast : std::uint8_t { kUnicast, kMulticast, kBroadcast };

// How a frame was addressed on its link: RFC 1122 §3.3.6 asks.
constexpr LinkCast link_cast(const MacAddress& destination) {
  if (!destination.is_multicast()) return LinkCast::kUnicast;
  return destination.is_broadcast() ? LinkCast::kBroadcast : LinkCast::kMulticast;
}

struct PacketLayout {
  // Offsets from the frame's first byte.
  std::uint32_t end = 0;      // behind the last byte that the innermost length field counts
  std::uint16_t l3 = 0;       // IP header, ARP packet, or whatever the EtherType names
  std::uint16_t l4 = 0;       // behind IP's headers or a GRH; equal to l3 if it is neither
  std::uint16_t payload = 0;  // behind a TCP or UDP header; equal to l4 for the rest and fragments

  std::uint16_t ether_type = 0;  // behind the tags
  std::uint16_t vlan_tci = 0;    // of the outer tag
  std::uint8_t vlan_tags = 0;
  LinkCast cast = LinkCast::kUnicast;
  std::uint8_t ip_version = 0;  // 4, 6, or 0 if it is not IP
  std::uint8_t protocol = 0;    // of what lies at l4; in a fragment, of the datagram's payload

  // Fragments; all zero in a whole datagram.
  bool more_fragments = false;
  std::uint16_t fragment_offset = 0;  // in bytes
  std::uint32_t fragment_id = 0;
  // IPv6 only: the fragment header, also where it fragments nothing, and the octet that names it.
  std::uint16_t fragment_header = 0;
  std::uint16_t fragment_next_at = 0;

  constexpr bool is_fragment() const { return more_fragments || fragment_offset != 0; }
  // RoCE v1: the BTH is at `payload`.
  constexpr bool is_grh() const { return ether_type == kEtherTypeRoce; }
  // Lengths on the wire; the packet's first segment may hold less of them.
  constexpr std::size_t l3_size() const { return end - l3; }
  constexpr std::size_t l4_size() const { return end - l4; }
  constexpr std::size_t payload_size() const { return end - payload; }

  // The headers, valid for the frame that was parsed and the ip_version and protocol found in it.
  const Ipv4Header& ipv4(Bytes frame) const { return view_as<Ipv4Header>(frame.subspan(l3)); }
  // Also of a GRH.
  const Ipv6Header& ipv6(Bytes frame) const { return view_as<Ipv6Header>(frame.subspan(l3)); }
  const UdpHeader& udp(Bytes frame) const { return view_as<UdpHeader>(frame.subspan(l4)); }
  const TcpHeader& tcp(Bytes frame) const { return view_as<TcpHeader>(frame.subspan(l4)); }
  // What of l4 and of payload `head` holds, without padding.
  Bytes l4_bytes(Bytes head) const { return piece(head, l4); }
  Bytes payload_bytes(Bytes head) const { return piece(head, payload); }

  friend constexpr bool operator==(const PacketLayout&, const PacketLayout&) = default;

 private:
  Bytes piece(Bytes head, std::size_t from) const {
    const std::size_t to = std::min<std::size_t>(head.size(), end);
    return head.subspan(from, to - from);
  }
};

struct LayoutOptions {
  // Tagged frames are dropped unless the port has VLANs.
  bool accept_vlan = false;
};

// Parses a frame of `frame_size` bytes, of which `head` holds the first: at least all headers up to
// TCP or UDP. Everything that a header's own bytes decide is checked, checksums over payload
// excepted. Not parsed: ARP, ICMP and options of TCP, whose parsers take it from here; the inside
// of fragments; IP in IP.
std::expected<PacketLayout, Refusal> parse_layout(Bytes head, std::size_t frame_size,
                                                  LayoutOptions options = {});

inline std::expected<PacketLayout, Refusal> parse_layout(Bytes frame) {
  return parse_layout(frame, frame.size());
}

}  // namespace tideline::wire
