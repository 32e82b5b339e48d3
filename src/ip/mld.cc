// SPDX-License-Identifier: Apache-2.0
#include "ip/mld.h"

#include <algorithm>
#include <utility>

#include "ip/frame.h"
#include "wire/ethernet.h"
#include "wire/ipv6.h"
#include "wire/ipv6_extensions.h"
#include "wire/protocol.h"

namespace tideline::ip {

using packet::PacketPtr;
using wire::Ipv6Address;

// RFC 3810 §5.1.14 and §5.2.13: from a neighbour, with a router alert; :: may report.
void Mld::receive(const packet::Packet& packet, const Datagram& datagram, Instant now) {
  const wire::PacketLayout& layout = datagram.layout;
  const wire::Bytes head = packet.first().bytes();
  const bool alert = layout.ipv6(head).next_header == wire::kProtocolHopByHop;
  const auto message = wire::parse_mld(layout.l4_bytes(head), layout.l4_size());
  if (!message) {
    context_.drops.count(message.error());
    return;
  }
  const auto* query = std::get_if<wire::GroupQuery<Ipv6Address>>(&*message);
  const bool near =
      datagram.source.is_link_local() || (query == nullptr && datagram.source.is_unspecified());
  if (datagram.hop_limit != 1 || !alert || !near) {
    context_.drops.count(Discard::kGroupMessageFromAfar);
    return;
  }
  if (query != nullptr) {
    groups_.queried(*query, now);
  } else if (const auto* report = std::get_if<wire::GroupReport<Ipv6Address>>(&*message)) {
    groups_.heard(*report, now);
  }
}

void Mld::say(std::span<const wire::GroupRecord<Ipv6Address>> records, Instant now) {
  send(records, wire::kGroupReportHeader + records.size() * wire::kMaxGroupRecord,
       wire::kMldRouters, now);
}

void Mld::say(const wire::GroupReport<Ipv6Address>& report, Instant now) {
  constexpr std::size_t kOldReport = 24;
  send(report, kOldReport, report.leaves ? wire::kIpv6AllRouters : report.group, now);
}

// RFC 3810 §5: hop limit 1, the router alert of RFC 2711; RFC 3590: from :: while there is no
// link-local address.
template <typename Message>
void Mld::send(const Message& message, std::size_t room, const Ipv6Address& to, Instant now) {
  PacketPtr packet = context_.pool.get();
  if (packet == nullptr) {
    context_.drops.count(Discard::kPoolExhausted);
    return;
  }
  Ipv6Address source;
  for (const auto& each : context_.addresses.ipv6()) {
    const Ipv6Address& address = each.prefix.address;
    if (address.is_link_local() && context_.addresses.is_ours(address)) source = address;
  }
  wire::MutableBytes bytes(packet->append(room), room);
  const std::size_t size = wire::emit(message, bytes);
  packet->truncate(size);
  bytes = bytes.first(size);
  auto sum =
      wire::pseudo_header(source, to, wire::kProtocolIcmpv6, static_cast<std::uint32_t>(size));
  sum.add(bytes);
  wire::view_as<wire::be16>(bytes.subspan(2)) = wire::be16(sum.checksum());
  constexpr std::size_t kAlert = 8;
  const wire::MutableBytes header =
      prepend_header(packet, sizeof(wire::Ipv6Header) + kAlert, context_);
  if (header.empty()) return;
  wire::emit(wire::Ipv6{.payload_length = static_cast<std::uint16_t>(kAlert + size),
                        .next_header = wire::kProtocolHopByHop,
                        .hop_limit = 1,
                        .source = source,
                        .destination = to},
             header);
  wire::emit_router_alert(wire::kProtocolIcmpv6, 0, header.subspan(sizeof(wire::Ipv6Header)));
  transmit(std::move(packet), wire::MacAddress::for_multicast(to), wire::kEtherTypeIpv6, context_,
           now);
}

}  // namespace tideline::ip
