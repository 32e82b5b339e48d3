// SPDX-License-Identifier: Apache-2.0
// What every protocol here does to packets: put headers in front, sum payload, hand frames out.
// Thread: the worker's that owns the host.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "ip/context.h"
#include "packet/checksum.h"  // whoever builds packets here sums them too
#include "packet/packet.h"
#include "wire/icmp_quote.h"
#include "wire/mac_address.h"
#include "wire/view.h"

namespace tideline::ip {

// Opens `size` bytes in front of the packet, in a segment of their own if the first has no room or
// is borrowed, and shifts the checksum offload. Empty, and the packet counted and gone, if the pool
// is exhausted.
wire::MutableBytes prepend_header(packet::PacketPtr& packet, std::size_t size, Context& context);

// Makes the first `size` bytes contiguous and writable. False, and the packet counted and gone, if
// the pool is exhausted or the packet shorter.
bool own_front(packet::PacketPtr& packet, std::size_t size, Context& context);

// Makes headers contiguous as far as the first segment has room: what parsers of `packet` need.
void gather_headers(packet::Packet& packet, Context& context);

// Whether the packet stands for several on the wire.
inline bool is_gso(const packet::Packet& packet) {
  return packet.meta().offload.gso != packet::Gso::kNone;
}

// The size of what leaves: of this packet, or of the longest that it stands for; with the headers
// that are in front already.
inline std::size_t size_on_wire(const packet::Packet& packet) {
  const packet::Offload& offload = packet.meta().offload;
  if (!is_gso(packet)) return packet.size();
  return std::size_t{offload.header_length} + offload.gso_size;
}

// The first 8 bytes at `offset`, zero where the packet is shorter.
wire::QuotedTransport quote_transport(const packet::Packet& packet, std::size_t offset,
                                      packet::PassCounter& passes);
// What is behind these, as far as it lies with them.
wire::Bytes behind_transport(const packet::Packet& packet, std::size_t offset);

// Puts an Ethernet header in front, tagged if the host is in a VLAN, and transmits.
void transmit(packet::PacketPtr packet, const wire::MacAddress& to, std::uint16_t ether_type,
              Context& context, Instant now);

// Puts an Ethernet header in front and leaves the frame to ourselves.
Sent loop_back(packet::PacketPtr packet, std::uint16_t ether_type, Context& context, Instant now);

}  // namespace tideline::ip
