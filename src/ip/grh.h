// SPDX-License-Identifier: Apache-2.0
// What stands for IP under RoCE v1: the global route header of InfiniBand (IBA 8.3), which looks
// like IPv6's, behind an EtherType of its own. Its addresses are GIDs: IPv6 addresses, or IPv4's in
// their mapped form. Nobody routes it, and nothing is fragmented. Neighbours are those of IP. IBA
// annex A16. Thread: the worker's that owns the host.
#pragma once

#include "ip/arp.h"
#include "ip/context.h"
#include "ip/delivery.h"
#include "ip/ndp.h"
#include "packet/packet.h"
#include "wire/packet_layout.h"

namespace tideline::ip {

class Grh {
 public:
  Grh(Context& context, Arp& arp, Ndp& ndp) : context_(context), arp_(arp), ndp_(ndp) {}

  // Null: nobody, and what comes is dropped.
  void set_handler(ProtocolHandler* handler) { handler_ = handler; }
  // A frame that wire::parse_layout found to be one.
  void receive(packet::PacketPtr frame, const wire::PacketLayout& layout, Instant now);
  // To a neighbour; the packet holds what follows the GRH.
  Sent send(packet::PacketPtr packet, const Departure& departure, Instant now);

 private:
  bool is_ours(const wire::Ipv6Address& address) const;

  Context& context_;
  Arp& arp_;
  Ndp& ndp_;
  ProtocolHandler* handler_ = nullptr;
};

// Whether what has waited for its neighbour among packets of IP is one of these.
bool is_grh(const packet::Packet& packet);

}  // namespace tideline::ip
