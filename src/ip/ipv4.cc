// SPDX-License-Identifier: Apache-2.0
#include "ip/ipv4.h"

#include <utility>

#include "ip/frame.h"
#include "ip/grh.h"
#include "wire/ethernet.h"
#include "wire/icmp.h"
#include "wire/ipv4.h"
#include "wire/protocol.h"
#include "wire/roce.h"

namespace tideline::ip {

using packet::PacketPtr;
using wire::Ipv4Address;
using wire::Ipv4Header;
using wire::Ipv6Address;
using wire::MacAddress;
using wire::PacketLayout;

namespace {

// Puts a header before each piece of a datagram and transmits it.
class Ipv4Fragments final : public FragmentSink {
 public:
  Ipv4Fragments(const Ipv4Header& header, const MacAddress& to, Context& context, Instant now)
      : header_(header), to_(to), context_(context), now_(now) {}

  void fragment(PacketPtr data, std::size_t offset, bool more) override {
    const std::size_t size = data->size();
    const wire::MutableBytes out = prepend_header(data, sizeof(Ipv4Header), context_);
    if (out.empty()) return;
    wire::emit(wire::Ipv4{.traffic_class = header_.traffic_class,
                          .total_length = static_cast<std::uint16_t>(sizeof(Ipv4Header) + size),
                          .identification = header_.identification.value(),
                          .more_fragments = more,
                          .fragment_offset = static_cast<std::uint16_t>(offset),
                          .ttl = header_.ttl,
                          .protocol = header_.protocol,
                          .source = header_.source,
                          .destination = header_.destination},
               out);
    transmit(std::move(data), to_, wire::kEtherTypeIpv4, context_, now_);
  }

 private:
  Ipv4Header header_;
  MacAddress to_;
  Context& context_;
  Instant now_;
};

}  // namespace

Ipv4::Ipv4(Context& context, Upcalls& upcalls, Reassembler& reassembler, PathMtuCache& paths,
           IdentificationSource& identifications, const NeighbourOptions& neighbours,
           const AddressProbeOptions& probing)
    : context_(context),
      upcalls_(upcalls),
      reassembler_(reassembler),
      paths_(paths),
      identifications_(identifications),
      arp_(context, neighbours, probing, *this) {}

// RFC 1122 §3.2.1; what the header's own bytes decide was checked by wire::parse_layout.
void Ipv4::receive(PacketPtr frame, const PacketLayout& layout, Instant now) {
  const Ipv4Header& header = layout.ipv4(frame->first().bytes());
  if (!check_link(layout, header.destination)) return;
  if (!check_source(header.source)) return;
  if (!check_destination(header.destination)) return;
  if (!layout.is_fragment()) {
    deliver(std::move(frame), layout, false, now);
    return;
  }
  PacketPtr whole = reassembler_.add(std::move(frame), layout, now);
  if (whole == nullptr) return;
  gather_headers(*whole, context_);
  const auto parsed =
      wire::parse_layout(whole->first().bytes(), whole->size(), {.accept_vlan = true});
  if (!parsed) {
    context_.drops.count(parsed.error().reason);
    return;
  }
  deliver(std::move(whole), *parsed, true, now);
}

// RFC 1122 §3.2.2.5. Of the rest of the header nothing is to be believed.
void Ipv4::refused(const packet::Packet& frame, const wire::Refusal& refusal, Instant now) {
  if (!wire::is_ipv4_option_problem(refusal.reason)) return;
  const wire::Bytes head = frame.first().bytes();
  const auto ethernet = wire::parse_ethernet(head);
  if (!ethernet || ethernet->ether_type != wire::kEtherTypeIpv4) return;
  const std::size_t l3 = ethernet->header_size();
  const auto& header = wire::view_as<Ipv4Header>(head.subspan(l3));
  const auto at = wire::ipv4_option_problem_at(head.subspan(l3, header.header_size()));
  if (!at || context_.addresses.is_ours(header.source) ||
      context_.addresses.is_broadcast(header.source)) {
    return;
  }
  const PacketLayout layout{
      .end = static_cast<std::uint32_t>(l3 + header.total_length.value()),
      .l3 = static_cast<std::uint16_t>(l3),
      .l4 = static_cast<std::uint16_t>(l3 + header.header_size()),
      .cast = wire::link_cast(ethernet->destination),
      .ip_version = 4,
      .protocol = header.protocol,
      .fragment_offset = static_cast<std::uint16_t>(header.fragment_offset())};
  upcalls_.report(frame, layout, {.kind = Problem::Kind::kParameter, .pointer = *at}, now);
}

void Ipv4::receive_own(PacketPtr frame, const PacketLayout& layout, Instant now) {
  deliver(std::move(frame), layout, false, now);
}

// RFC 1122 §3.3.6: a link broadcast carries broadcasts and multicasts only.
bool Ipv4::check_link(const PacketLayout& layout, Ipv4Address destination) {
  if (layout.cast == wire::LinkCast::kUnicast || destination.is_multicast() ||
      context_.addresses.is_broadcast(destination)) {
    return true;
  }
  context_.drops.count(Discard::kLinkMulticast);
  return false;
}

// RFC 1122 §3.2.1.3.
bool Ipv4::check_source(Ipv4Address source) {
  if (context_.addresses.is_ours(source)) {
    context_.drops.count(Discard::kSourceIsOurs);
    return false;
  }
  if (context_.addresses.is_broadcast(source)) {
    context_.drops.count(Discard::kSourceBroadcast);
    return false;
  }
  return true;
}

// RFC 1122 §3.2.1.3: ours, or a group that we are in. TTL is a router's business (§3.2.1.7).
bool Ipv4::check_destination(Ipv4Address destination) {
  if (context_.addresses.is_ours(destination) || context_.addresses.is_broadcast(destination)) {
    return true;
  }
  if (destination.is_multicast() && context_.addresses.is_member(destination)) return true;
  context_.drops.count(Discard::kNotOurs);
  return false;
}

void Ipv4::deliver(PacketPtr frame, const PacketLayout& layout, bool in_fragments, Instant now) {
  const Ipv4Header& header = layout.ipv4(frame->first().bytes());
  const Datagram datagram{.layout = layout,
                          .source = Ipv6Address::mapped(header.source),
                          .destination = Ipv6Address::mapped(header.destination),
                          .to_group = !context_.addresses.is_ours(header.destination),
                          .in_fragments = in_fragments,
                          .hop_limit = header.ttl,
                          .traffic_class = header.traffic_class};
  upcalls_.deliver(std::move(frame), datagram, now);
}

Sent Ipv4::send(PacketPtr packet, const Departure& departure, Instant now) {
  if (const Sent checked = check_departure(*packet, departure, now); !checked) return checked;
  const Ipv4Address source = departure.source.mapped_ipv4();
  const Ipv4Address destination = departure.destination.mapped_ipv4();
  const bool broadcast = context_.addresses.is_broadcast(destination);
  const bool group = broadcast || destination.is_multicast();
  const bool ours = context_.addresses.is_ours(destination);
  const auto next_hop = group || ours ? destination : arp_.next_hop(destination, now);
  if (!next_hop) return context_.drops.refuse(Discard::kNoRoute);
  const PathMtu path = paths_.find(departure.destination, now);
  const std::size_t size = sizeof(Ipv4Header) + packet->size();
  const bool fits = sizeof(Ipv4Header) + size_on_wire(*packet) <= path.mtu;
  const wire::MutableBytes header = prepend_header(packet, sizeof(Ipv4Header), context_);
  if (header.empty()) return std::unexpected(Discard::kPoolExhausted);
  wire::emit(wire::Ipv4{.traffic_class = departure.traffic_class,
                        .total_length = static_cast<std::uint16_t>(size),
                        .identification = static_cast<std::uint16_t>(
                            identifications_.next(source, destination, departure.protocol)),
                        .dont_fragment = fits && !path.below_floor,
                        .ttl = departure.hop_limit,
                        .protocol = departure.protocol,
                        .source = source,
                        .destination = destination},
             header);
  if (ours) return loop_back(std::move(packet), wire::kEtherTypeIpv4, context_, now);
  if (group) {
    const MacAddress to = broadcast ? wire::kMacBroadcast : MacAddress::for_multicast(destination);
    carry(std::move(packet), to, now);
  } else {
    arp_.neighbours().send(std::move(packet), *next_hop, now);
  }
  return {};
}

bool Ipv4::prepare(Ipv4Address destination, Instant now) {
  if (context_.addresses.is_broadcast(destination) || destination.is_multicast()) return true;
  if (context_.addresses.is_ours(destination)) return true;
  const auto next_hop = arp_.next_hop(destination, now);
  return next_hop && arp_.neighbours().resolve(*next_hop, now);
}

Sent Ipv4::check_departure(const packet::Packet& packet, const Departure& departure, Instant now) {
  const std::size_t size = sizeof(Ipv4Header) + packet.size();
  if (!departure.source.is_mapped() ||
      !context_.addresses.is_ours(departure.source.mapped_ipv4())) {
    return context_.drops.refuse(Discard::kSourceNotOurs);
  }
  const bool whole = !departure.may_fragment || is_gso(packet);
  const bool too_big = whole && sizeof(Ipv4Header) + size_on_wire(packet) >
                                    paths_.find(departure.destination, now).mtu;
  if (size > wire::kMaxDatagram || too_big) return context_.drops.refuse(Discard::kTooBig);
  return {};
}

// The next hop is known, now or after a while: what the path carries is asked only here.
void Ipv4::carry(PacketPtr packet, const MacAddress& to, Instant now) {
  if (is_grh(*packet)) {
    transmit(std::move(packet), to, wire::kEtherTypeRoce, context_, now);
    return;
  }
  const auto header = wire::view_as<Ipv4Header>(packet->first().bytes());
  const std::size_t mtu = paths_.find(Ipv6Address::mapped(header.destination), now).mtu;
  if (size_on_wire(*packet) <= mtu) {
    transmit(std::move(packet), to, wire::kEtherTypeIpv4, context_, now);
    return;
  }
  if (is_gso(*packet)) {  // the path has narrowed since; its protocol will cut it anew
    context_.drops.count(Discard::kTooBig);
    return;
  }
  Ipv4Fragments fragments(header, to, context_, now);
  const std::size_t piece = (mtu - sizeof(Ipv4Header)) / 8 * 8;
  cut_datagram(std::move(packet), sizeof(Ipv4Header), piece, context_, fragments);
}

// RFC 1122 §3.3.1.1: the protocol that sent it is told.
void Ipv4::undeliverable(PacketPtr packet, Instant now) {
  if (is_grh(*packet)) return;  // its sender has a timer
  const auto& header = wire::view_as<Ipv4Header>(packet->first().bytes());
  const PathError error{
      .kind = PathErrorKind::kHostUnreachable,
      .quote = {.source = Ipv6Address::mapped(header.source),
                .destination = Ipv6Address::mapped(header.destination),
                .protocol = header.protocol,
                .transport = quote_transport(*packet, sizeof(Ipv4Header), context_.passes)},
      .type = static_cast<std::uint8_t>(wire::IcmpType::kUnreachable),
      .code = wire::kIcmpHostUnreachable,
      .offender = Ipv6Address::mapped(header.source),
      .payload = behind_transport(*packet, sizeof(Ipv4Header))};
  if (upcalls_.recognises(error)) upcalls_.failed(error, now);
}

}  // namespace tideline::ip
