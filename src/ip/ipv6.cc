// SPDX-License-Identifier: Apache-2.0
#include "ip/ipv6.h"

#include <algorithm>
#include <utility>

#include "ip/frame.h"
#include "ip/grh.h"
#include "wire/ethernet.h"
#include "wire/icmpv6.h"
#include "wire/ipv6.h"
#include "wire/ipv6_extensions.h"
#include "wire/protocol.h"
#include "wire/roce.h"

namespace tideline::ip {

using packet::PacketPtr;
using wire::Ipv6Address;
using wire::Ipv6FragmentHeader;
using wire::Ipv6Header;
using wire::MacAddress;
using wire::PacketLayout;

namespace {

// Puts the headers before each piece of a datagram and transmits it.
class Ipv6Fragments final : public FragmentSink {
 public:
  Ipv6Fragments(const Ipv6Header& header, std::uint32_t identification, const MacAddress& to,
                Context& context, Instant now)
      : header_(header), identification_(identification), to_(to), context_(context), now_(now) {}

  void fragment(PacketPtr data, std::size_t offset, bool more) override {
    constexpr std::size_t kHeaders = sizeof(Ipv6Header) + sizeof(Ipv6FragmentHeader);
    const std::size_t size = data->size();
    const wire::MutableBytes out = prepend_header(data, kHeaders, context_);
    if (out.empty()) return;
    auto& header = wire::view_as<Ipv6Header>(out);
    header = header_;
    header.next_header = wire::kProtocolFragment;
    header.payload_length =
        wire::be16(static_cast<std::uint16_t>(sizeof(Ipv6FragmentHeader) + size));
    wire::emit(wire::Ipv6Fragment{.next_header = header_.next_header,
                                  .offset = static_cast<std::uint16_t>(offset),
                                  .more = more,
                                  .identification = identification_},
               out.subspan(sizeof(Ipv6Header)));
    transmit(std::move(data), to_, wire::kEtherTypeIpv6, context_, now_);
  }

 private:
  Ipv6Header header_;
  std::uint32_t identification_;
  MacAddress to_;
  Context& context_;
  Instant now_;
};

}  // namespace

Ipv6::Ipv6(Context& context, Upcalls& upcalls, Reassembler& reassembler, PathMtuCache& paths,
           IdentificationSource& identifications, const NdpOptions& ndp,
           Membership<Ipv6Address>& groups)
    : context_(context),
      upcalls_(upcalls),
      reassembler_(reassembler),
      paths_(paths),
      identifications_(identifications),
      flow_labels_(context.rng),
      ndp_(context, ndp, *this, paths, groups) {}

// RFC 8200 §3; what the headers' own bytes decide was checked by wire::parse_layout.
void Ipv6::receive(PacketPtr frame, const PacketLayout& layout, Instant now) {
  const Ipv6Header& header = layout.ipv6(frame->first().bytes());
  if (!check_link(layout, header.destination)) return;
  if (!check_source(layout, header.source)) return;
  if (!check_destination(layout, header.destination)) return;
  if (!layout.is_fragment()) {
    deliver(std::move(frame), layout, layout.fragment_header != 0, now);
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

// RFC 8200 §4.2, §4.4, §4.5: parameter problems. Only of packets that would have been for us.
void Ipv6::refused(const packet::Packet& frame, const wire::Refusal& refusal, Instant now) {
  const wire::Bytes head = frame.first().bytes();
  const auto ethernet = wire::parse_ethernet(head);
  if (!ethernet || ethernet->ether_type != wire::kEtherTypeIpv6) return;
  const std::size_t l3 = ethernet->header_size();
  if (head.size() < l3 + sizeof(Ipv6Header)) return;
  const auto& header = wire::view_as<Ipv6Header>(head.subspan(l3));
  const auto code = wire::parameter_problem_code(refusal.reason, header.destination.is_multicast());
  if (!code) return;
  PacketLayout layout{.end = static_cast<std::uint32_t>(std::min(
                          frame.size(), l3 + sizeof(Ipv6Header) + header.payload_length.value())),
                      .l3 = static_cast<std::uint16_t>(l3),
                      .l4 = static_cast<std::uint16_t>(l3 + sizeof(Ipv6Header)),
                      .cast = wire::link_cast(ethernet->destination),
                      .ip_version = 6,
                      .protocol = header.next_header};
  // Whether it carries an ICMPv6 error is the last header's to say.
  if (const auto upper = wire::find_ipv6_upper_layer(head.subspan(l3))) {
    layout.l4 = static_cast<std::uint16_t>(l3 + upper->at);
    layout.protocol = upper->protocol;
  }
  const bool ours = context_.addresses.is_ours(header.destination) ||
                    context_.addresses.is_member(header.destination);
  if (!ours || context_.addresses.is_ours(header.source)) return;
  upcalls_.report(frame, layout,
                  {.kind = Problem::Kind::kParameter, .code = *code, .pointer = refusal.pointer},
                  now);
}

void Ipv6::receive_own(PacketPtr frame, const PacketLayout& layout, Instant now) {
  deliver(std::move(frame), layout, false, now);
}

// As RFC 1122 §3.3.6 has it for IPv4.
bool Ipv6::check_link(const PacketLayout& layout, const Ipv6Address& destination) {
  if (layout.cast == wire::LinkCast::kUnicast || destination.is_multicast()) return true;
  context_.drops.count(Discard::kLinkMulticast);
  return false;
}

// RFC 4291 §2.5.2: only duplicate address detection sends from the unspecified address.
bool Ipv6::check_source(const PacketLayout& layout, const Ipv6Address& source) {
  if (context_.addresses.is_ours(source)) {
    context_.drops.count(Discard::kSourceIsOurs);
    return false;
  }
  if (source.is_unspecified() && layout.protocol != wire::kProtocolIcmpv6) {
    context_.drops.count(Discard::kSourceUnspecified);
    return false;
  }
  return true;
}

// RFC 4291 §2.8. A tentative address receives neighbour discovery only (RFC 4862 §5.4).
bool Ipv6::check_destination(const PacketLayout& layout, const Ipv6Address& destination) {
  const Addresses& ours = context_.addresses;
  if (ours.is_ours(destination)) return true;
  if (destination.is_multicast() && ours.is_member(destination)) return true;
  if (ours.is_tentative(destination) && layout.protocol == wire::kProtocolIcmpv6) return true;
  context_.drops.count(Discard::kNotOurs);
  return false;
}

void Ipv6::deliver(PacketPtr frame, const PacketLayout& layout, bool in_fragments, Instant now) {
  const Ipv6Header& header = layout.ipv6(frame->first().bytes());
  const Datagram datagram{
      .layout = layout,
      .source = header.source,
      .destination = header.destination,
      .to_group = header.destination.is_multicast(),
      .in_fragments = in_fragments,
      .hop_limit = header.hop_limit,
      .traffic_class = static_cast<std::uint8_t>(header.version_class_flow.value() >> 20)};
  upcalls_.deliver(std::move(frame), datagram, now);
}

Sent Ipv6::send(PacketPtr packet, const Departure& departure, Instant now) {
  if (const Sent checked = check_departure(*packet, departure, now); !checked) return checked;
  const Ipv6Address& destination = departure.destination;
  const bool group = destination.is_multicast();
  const bool ours = context_.addresses.is_ours(destination);
  const auto next_hop = group || ours ? destination : ndp_.next_hop(destination, now);
  if (!next_hop) return context_.drops.refuse(Discard::kNoRoute);
  const auto size = static_cast<std::uint16_t>(packet->size());
  const std::uint32_t label = flow_label(*packet, departure);
  const wire::MutableBytes header = prepend_header(packet, sizeof(Ipv6Header), context_);
  if (header.empty()) return std::unexpected(Discard::kPoolExhausted);
  wire::emit(wire::Ipv6{.traffic_class = departure.traffic_class,
                        .flow_label = label,
                        .payload_length = size,
                        .next_header = departure.protocol,
                        .hop_limit = departure.hop_limit,
                        .source = departure.source,
                        .destination = destination},
             header);
  if (ours) return loop_back(std::move(packet), wire::kEtherTypeIpv6, context_, now);
  if (group) {
    carry(std::move(packet), MacAddress::for_multicast(destination), now);
  } else {
    ndp_.neighbours().send(std::move(packet), *next_hop, now);
  }
  return {};
}

// RFC 6437 §3. Fragments have their datagram's.
std::uint32_t Ipv6::flow_label(const packet::Packet& packet, const Departure& departure) {
  const bool has_ports =
      departure.protocol == wire::kProtocolTcp || departure.protocol == wire::kProtocolUdp;
  const wire::Bytes head = packet.first().bytes();
  if (!has_ports || head.size() < sizeof(wire::be32)) return 0;
  return flow_labels_.label_of(departure.source, departure.destination, departure.protocol,
                               wire::view_as<wire::be32>(head).value());
}

bool Ipv6::prepare(const Ipv6Address& destination, Instant now) {
  if (destination.is_multicast() || context_.addresses.is_ours(destination)) return true;
  const auto next_hop = ndp_.next_hop(destination, now);
  return next_hop && ndp_.neighbours().resolve(*next_hop, now);
}

Sent Ipv6::check_departure(const packet::Packet& packet, const Departure& departure, Instant now) {
  if (!context_.addresses.is_ours(departure.source)) {
    return context_.drops.refuse(Discard::kSourceNotOurs);
  }
  const bool whole = !departure.may_fragment || is_gso(packet);
  const bool too_big = whole && sizeof(Ipv6Header) + size_on_wire(packet) >
                                    paths_.find(departure.destination, now).mtu;
  if (packet.size() > wire::kMaxDatagram || too_big) {
    return context_.drops.refuse(Discard::kTooBig);
  }
  return {};
}

// The next hop is known, now or after a while: what the path carries is asked only here.
void Ipv6::carry(PacketPtr packet, const MacAddress& to, Instant now) {
  if (is_grh(*packet)) {
    transmit(std::move(packet), to, wire::kEtherTypeRoce, context_, now);
    return;
  }
  const auto header = wire::view_as<Ipv6Header>(packet->first().bytes());
  const std::size_t mtu = paths_.find(header.destination, now).mtu;
  if (size_on_wire(*packet) <= mtu) {
    transmit(std::move(packet), to, wire::kEtherTypeIpv6, context_, now);
    return;
  }
  if (is_gso(*packet)) {  // the path has narrowed since; its protocol will cut it anew
    context_.drops.count(Discard::kTooBig);
    return;
  }
  const std::uint32_t identification =
      identifications_.next(header.source, header.destination, header.next_header);
  Ipv6Fragments fragments(header, identification, to, context_, now);
  const std::size_t piece = (mtu - sizeof(Ipv6Header) - sizeof(Ipv6FragmentHeader)) / 8 * 8;
  cut_datagram(std::move(packet), sizeof(Ipv6Header), piece, context_, fragments);
}

// RFC 4861 §7.2.2: the protocol that sent it is told.
void Ipv6::undeliverable(PacketPtr packet, Instant now) {
  if (is_grh(*packet)) return;  // its sender has a timer
  const auto& header = wire::view_as<Ipv6Header>(packet->first().bytes());
  const PathError error{
      .kind = PathErrorKind::kHostUnreachable,
      .quote = {.source = header.source,
                .destination = header.destination,
                .protocol = header.next_header,
                .transport = quote_transport(*packet, sizeof(Ipv6Header), context_.passes)},
      .type = static_cast<std::uint8_t>(wire::Icmpv6Type::kUnreachable),
      .code = wire::kIcmpv6AddressUnreachable,
      .offender = header.source,
      .payload = behind_transport(*packet, sizeof(Ipv6Header))};
  if (upcalls_.recognises(error)) upcalls_.failed(error, now);
}

}  // namespace tideline::ip
