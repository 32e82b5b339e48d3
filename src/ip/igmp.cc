// SPDX-License-Identifier: Apache-2.0
#include "ip/igmp.h"

#include <utility>

#include "ip/frame.h"
#include "wire/ethernet.h"
#include "wire/ipv4.h"
#include "wire/protocol.h"

namespace tideline::ip {

using packet::PacketPtr;
using wire::Ipv4Address;

void Igmp::receive(PacketPtr packet, const Datagram& datagram, Instant now) {
  const wire::PacketLayout& layout = datagram.layout;
  // Whoever speaks is on this link (RFC 3376 §4: TTL 1).
  if (datagram.hop_limit != 1) {
    context_.drops.count(Discard::kGroupMessageFromAfar);
    return;
  }
  const auto sum = sum_range(*packet, layout.l4, layout.l4_size(), context_.passes);
  if (const auto checked = wire::check_igmp_checksum(sum); !checked) {
    context_.drops.count(checked.error());
    return;
  }
  const auto message = wire::parse_igmp(layout.l4_bytes(packet->first().bytes()), layout.l4_size());
  if (!message) {
    context_.drops.count(message.error());
    return;
  }
  if (const auto* query = std::get_if<wire::GroupQuery<Ipv4Address>>(&*message)) {
    groups_.queried(*query, now);
  } else if (const auto* report = std::get_if<wire::GroupReport<Ipv4Address>>(&*message)) {
    groups_.heard(*report, now);
  }
}

void Igmp::say(std::span<const wire::GroupRecord<Ipv4Address>> records, Instant now) {
  send(records, wire::kGroupReportHeader + records.size() * wire::kMaxGroupRecord,
       wire::kIgmpRouters, now);
}

void Igmp::say(const wire::GroupReport<Ipv4Address>& report, Instant now) {
  send(report, wire::kGroupReportHeader, report.leaves ? wire::kIpv4AllRouters : report.group, now);
}

// RFC 3376 §4: TTL 1, with the router alert of RFC 2113; from 0.0.0.0 while there is no address.
template <typename Message>
void Igmp::send(const Message& message, std::size_t room, Ipv4Address to, Instant now) {
  PacketPtr packet = context_.pool.get();
  if (packet == nullptr) {
    context_.drops.count(Discard::kPoolExhausted);
    return;
  }
  wire::MutableBytes bytes(packet->append(room), room);
  const std::size_t size = wire::emit(message, bytes);
  packet->truncate(size);
  bytes = bytes.first(size);
  wire::view_as<wire::be16>(bytes.subspan(2)) = wire::be16(wire::checksum(bytes));
  constexpr std::uint8_t kInternetworkControl = 0xc0;
  wire::Ipv4 ipv4{.traffic_class = kInternetworkControl,
                  .dont_fragment = true,
                  .ttl = 1,
                  .protocol = wire::kProtocolIgmp,
                  .source = context_.addresses.source_for(to).value_or(Ipv4Address()),
                  .destination = to,
                  .options = wire::Ipv4Options::with_router_alert()};
  ipv4.total_length = static_cast<std::uint16_t>(ipv4.header_size() + size);
  const wire::MutableBytes header = prepend_header(packet, ipv4.header_size(), context_);
  if (header.empty()) return;
  wire::emit(ipv4, header);
  transmit(std::move(packet), wire::MacAddress::for_multicast(to), wire::kEtherTypeIpv4, context_,
           now);
}

}  // namespace tideline::ip
