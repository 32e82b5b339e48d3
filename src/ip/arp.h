// SPDX-License-Identifier: Apache-2.0
// ARP: RFC 826, RFC 1122 §2.3.2, with the conflicts and announcements of RFC 5227. Replies that
// nobody asked for change nothing; an announcement moves an address that we already talk to, since
// that is how addresses legitimately move. Thread: the worker's that owns the host.
#pragma once

#include <optional>

#include "ip/context.h"
#include "ip/neighbour.h"
#include "wire/arp.h"
#include "wire/packet_layout.h"

namespace tideline::ip {

class Arp final : private Solicitor<wire::Ipv4Address> {
 public:
  Arp(Context& context, const NeighbourOptions& options, Carrier& carrier);

  void receive(packet::PacketPtr frame, const wire::PacketLayout& layout, Instant now);
  // Tells the link that the address is ours: RFC 5227 §2.3.
  void announce(wire::Ipv4Address address, Instant now);

  NeighbourTable<wire::Ipv4Address>& neighbours() { return neighbours_; }
  const NeighbourTable<wire::Ipv4Address>& neighbours() const { return neighbours_; }

 private:
  void solicit(const wire::Ipv4Address& target, const std::optional<wire::MacAddress>& known,
               Instant now) override;
  bool check_conflict(const wire::Arp& arp, Instant now);
  bool check_sender(const wire::Arp& arp, Instant now);
  void learn(const wire::Arp& arp, Instant now);
  void answer(const wire::Arp& arp, Instant now);
  void send(const wire::Arp& arp, const wire::MacAddress& to, Instant now);

  Context& context_;
  NeighbourTable<wire::Ipv4Address> neighbours_;
  std::optional<Instant> defended_;  // when we last defended an address
};

}  // namespace tideline::ip
