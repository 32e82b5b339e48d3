// SPDX-License-Identifier: Apache-2.0
#include "ip/grh.h"

#include <utility>

#include "ip/frame.h"
#include "wire/ipv6.h"
#include "wire/roce.h"

namespace tideline::ip {

using packet::PacketPtr;
using wire::Ipv6Address;
using wire::Ipv6Header;

bool is_grh(const packet::Packet& packet) {
  const wire::Bytes head = packet.first().bytes();
  if (head.size() < sizeof(Ipv6Header)) return false;
  const auto& header = wire::view_as<Ipv6Header>(head);
  return header.version() == 6 && header.next_header == wire::kProtocolGrh;
}

bool Grh::is_ours(const Ipv6Address& address) const {
  return address.is_mapped() ? context_.addresses.is_ours(address.mapped_ipv4())
                             : context_.addresses.is_ours(address);
}

void Grh::receive(PacketPtr frame, const wire::PacketLayout& layout, Instant now) {
  const auto discard = [&](Discard reason) { context_.drops.count(reason); };
  if (handler_ == nullptr) return discard(Discard::kEtherType);
  if (layout.cast != wire::LinkCast::kUnicast) return discard(Discard::kLinkMulticast);
  const Ipv6Header& header = layout.ipv6(frame->first().bytes());
  if (is_ours(header.source)) return discard(Discard::kSourceIsOurs);
  if (header.source.is_unspecified()) return discard(Discard::kSourceUnspecified);
  if (!is_ours(header.destination)) return discard(Discard::kNotOurs);
  const Datagram datagram{
      .layout = layout,
      .source = header.source,
      .destination = header.destination,
      .hop_limit = header.hop_limit,
      .traffic_class = static_cast<std::uint8_t>(header.version_class_flow.value() >> 20)};
  handler_->receive(std::move(frame), datagram, now);
}

Sent Grh::send(PacketPtr packet, const Departure& departure, Instant now) {
  const Ipv6Address& destination = departure.destination;
  const bool four = destination.is_mapped();
  if (!is_ours(departure.source)) return context_.drops.refuse(Discard::kSourceNotOurs);
  const bool on_link = four ? context_.routes4.is_on_link(destination.mapped_ipv4())
                            : ndp_.next_hop(destination, now) == destination;
  if (!on_link) return context_.drops.refuse(Discard::kNoRoute);
  if (packet->size() > wire::kMaxDatagram ||
      sizeof(Ipv6Header) + size_on_wire(*packet) > context_.mtu) {
    return context_.drops.refuse(Discard::kTooBig);
  }
  const auto size = static_cast<std::uint16_t>(packet->size());
  const wire::MutableBytes header = prepend_header(packet, sizeof(Ipv6Header), context_);
  if (header.empty()) return std::unexpected(Discard::kPoolExhausted);
  wire::emit(wire::Ipv6{.traffic_class = departure.traffic_class,
                        .payload_length = size,
                        .next_header = wire::kProtocolGrh,
                        .hop_limit = departure.hop_limit,
                        .source = departure.source,
                        .destination = destination},
             header);
  if (four) {
    arp_.neighbours().send(std::move(packet), destination.mapped_ipv4(), now);
  } else {
    ndp_.neighbours().send(std::move(packet), destination, now);
  }
  return {};
}

}  // namespace tideline::ip
