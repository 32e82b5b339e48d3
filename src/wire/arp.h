// SPDX-License-Identifier: Apache-2.0
// ARP for IPv4 over Ethernet: RFC 826, with the probes and announcements of RFC 5227. Used by the
// neighbour table. Thread: any.
#pragma once

#include <cstdint>

#include "wire/drop_reason.h"
#include "wire/endian.h"
#include "wire/ip_address.h"
#include "wire/mac_address.h"
#include "wire/view.h"

namespace tideline::wire {

struct ArpHeader {
  be16 hardware_type;
  be16 protocol_type;
  std::uint8_t hardware_length;
  std::uint8_t protocol_length;
  be16 operation;
  MacAddress sender_mac;
  Ipv4Address sender_ip;
  MacAddress target_mac;
  Ipv4Address target_ip;
};
static_assert(sizeof(ArpHeader) == 28);

enum class ArpOperation : std::uint8_t { kRequest = 1, kReply = 2 };

struct Arp {
  ArpOperation operation = ArpOperation::kRequest;
  MacAddress sender_mac;
  Ipv4Address sender_ip;
  MacAddress target_mac;
  Ipv4Address target_ip;

  // RFC 5227 §1.1: asks whether an address is in use, before its sender owns it.
  constexpr bool is_probe() const {
    return operation == ArpOperation::kRequest && sender_ip.is_unspecified();
  }
  // RFC 5227 §1.1: says that the sender owns its address ("gratuitous ARP").
  constexpr bool is_announcement() const {
    return sender_ip == target_ip && !sender_ip.is_unspecified();
  }
  // Whether the sender's addresses may enter the neighbour table.
  constexpr bool sender_is_cacheable() const {
    return sender_mac.is_unicast() && !sender_ip.is_unspecified() && !sender_ip.is_multicast() &&
           !sender_ip.is_reserved() && !sender_ip.is_loopback();
  }
  friend constexpr bool operator==(const Arp&, const Arp&) = default;
};

// `packet` is what follows the Ethernet header; padding behind the ARP packet is ignored.
Parsed<Arp> parse_arp(Bytes packet);

// Writes 28 bytes and returns their number.
std::size_t emit(const Arp& arp, MutableBytes out);

}  // namespace tideline::wire
