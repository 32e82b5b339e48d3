// SPDX-License-Identifier: Apache-2.0
// IPv4 of a host: RFC 791, RFC 1122 §3. What has come goes up whole; what goes down gets its
// header, its next hop and, if it must, its fragments. Thread: the worker's that owns the host.
#pragma once

#include "ip/arp.h"
#include "ip/context.h"
#include "ip/delivery.h"
#include "ip/fragmentation.h"
#include "ip/path_mtu.h"
#include "ip/reassembly.h"

namespace tideline::ip {

class Ipv4 final : private Carrier {
 public:
  Ipv4(Context& context, Upcalls& upcalls, Reassembler& reassembler, PathMtuCache& paths,
       IdentificationSource& identifications, const NeighbourOptions& neighbours,
       const AddressProbeOptions& probing);

  // A frame that wire::parse_layout found to be IPv4.
  void receive(packet::PacketPtr frame, const wire::PacketLayout& layout, Instant now);
  // A frame that was refused, of whose options its sender should know.
  void refused(const packet::Packet& frame, const wire::Refusal& refusal, Instant now);
  // A frame of ours to ourselves, which is what send() made of it: whole.
  void receive_own(packet::PacketPtr frame, const wire::PacketLayout& layout, Instant now);
  // `departure` has mapped addresses.
  Sent send(packet::PacketPtr packet, const Departure& departure, Instant now);
  bool prepare(wire::Ipv4Address destination, Instant now);

  Arp& arp() { return arp_; }
  const Arp& arp() const { return arp_; }

 private:
  bool check_link(const wire::PacketLayout& layout, wire::Ipv4Address destination);
  bool check_source(wire::Ipv4Address source);
  bool check_destination(wire::Ipv4Address destination);
  void deliver(packet::PacketPtr frame, const wire::PacketLayout& layout, bool in_fragments,
               Instant now);
  Sent check_departure(const packet::Packet& packet, const Departure& departure, Instant now);
  void carry(packet::PacketPtr packet, const wire::MacAddress& to, Instant now) override;
  void undeliverable(packet::PacketPtr packet, Instant now) override;

  Context& context_;
  Upcalls& upcalls_;
  Reassembler& reassembler_;
  PathMtuCache& paths_;
  IdentificationSource& identifications_;
  Arp arp_;
};

}  // namespace tideline::ip
