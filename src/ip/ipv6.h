// SPDX-License-Identifier: Apache-2.0
// IPv6 of a host: RFC 8200, RFC 4291 §2.8. What has come goes up whole; what goes down gets its
// header, its next hop and, if it must, its fragments. Thread: the worker's that owns the host.
#pragma once

#include "ip/context.h"
#include "ip/delivery.h"
#include "ip/flow_labels.h"
#include "ip/fragmentation.h"
#include "ip/ndp.h"
#include "ip/path_mtu.h"
#include "ip/reassembly.h"

namespace tideline::ip {

class Ipv6 final : private Carrier {
 public:
  Ipv6(Context& context, Upcalls& upcalls, Reassembler& reassembler, PathMtuCache& paths,
       IdentificationSource& identifications, const NdpOptions& ndp,
       Membership<wire::Ipv6Address>& groups);

  // A frame that wire::parse_layout found to be IPv6.
  void receive(packet::PacketPtr frame, const wire::PacketLayout& layout, Instant now);
  // A frame that it refused with a reason that RFC 8200 wants its sender to know.
  void refused(const packet::Packet& frame, const wire::Refusal& refusal, Instant now);
  // A frame of ours to ourselves, which is what send() made of it: whole.
  void receive_own(packet::PacketPtr frame, const wire::PacketLayout& layout, Instant now);
  Sent send(packet::PacketPtr packet, const Departure& departure, Instant now);
  bool prepare(const wire::Ipv6Address& destination, Instant now);

  Ndp& ndp() { return ndp_; }
  const Ndp& ndp() const { return ndp_; }

 private:
  bool check_link(const wire::PacketLayout& layout, const wire::Ipv6Address& destination);
  bool check_source(const wire::PacketLayout& layout, const wire::Ipv6Address& source);
  bool check_destination(const wire::PacketLayout& layout, const wire::Ipv6Address& destination);
  void deliver(packet::PacketPtr frame, const wire::PacketLayout& layout, bool in_fragments,
               Instant now);
  std::uint32_t flow_label(const packet::Packet& packet, const Departure& departure);
  Sent check_departure(const packet::Packet& packet, const Departure& departure, Instant now);
  void carry(packet::PacketPtr packet, const wire::MacAddress& to, Instant now) override;
  void undeliverable(packet::PacketPtr packet, Instant now) override;

  Context& context_;
  Upcalls& upcalls_;
  Reassembler& reassembler_;
  PathMtuCache& paths_;
  IdentificationSource& identifications_;
  FlowLabels flow_labels_;
  Ndp ndp_;
};

}  // namespace tideline::ip
