// SPDX-License-Identifier: Apache-2.0
#include "wire/ipv6.h"

namespace tideline::wire {

Parsed<std::uint16_t> check_ipv6(Bytes head, std::size_t size) {
  if (size < sizeof(Ipv6Header)) return drop(DropReason::kIpv6Short);
  if (head.size() < sizeof(Ipv6Header)) return drop(DropReason::kHeadersScattered);
  const auto& header = view_as<Ipv6Header>(head);
  const std::uint16_t payload_length = header.payload_length.value();
  if (header.version() != 6) return drop(DropReason::kIpv6Version);
  if (payload_length > size - sizeof(Ipv6Header)) return drop(DropReason::kIpv6LengthBeyondFrame);
  // RFC 4291 §2.5.3, §2.7. An unspecified source is legal: duplicate address detection.
  if (header.source.is_multicast()) return drop(DropReason::kIpv6SourceMulticast);
  if (header.source.is_loopback()) return drop(DropReason::kIpv6SourceLoopback);
  if (header.destination.is_loopback()) return drop(DropReason::kIpv6DestinationLoopback);
  if (header.destination.is_multicast() && header.destination.multicast_scope() <= 1) {
    return drop(DropReason::kIpv6DestinationScope);
  }
  return payload_length;
}

Parsed<Ipv6> parse_ipv6(Bytes packet) {
  const auto payload_length = check_ipv6(packet, packet.size());
  if (!payload_length) return drop(payload_length.error());
  const auto& header = view_as<Ipv6Header>(packet);
  const std::uint32_t first = header.version_class_flow.value();
  return Ipv6{.traffic_class = static_cast<std::uint8_t>(first >> 20),
              .flow_label = first & 0xfffff,
              .payload_length = *payload_length,
              .next_header = header.next_header,
              .hop_limit = header.hop_limit,
              .source = header.source,
              .destination = header.destination};
}

std::size_t emit(const Ipv6& ipv6, MutableBytes out) {
  view_as<Ipv6Header>(out) = {
      .version_class_flow = be32(std::uint32_t{6} << 28 | std::uint32_t{ipv6.traffic_class} << 20 |
                                 (ipv6.flow_label & 0xfffff)),
      .payload_length = be16(ipv6.payload_length),
      .next_header = ipv6.next_header,
      .hop_limit = ipv6.hop_limit,
      .source = ipv6.source,
      .destination = ipv6.destination};
  return sizeof(Ipv6Header);
}

}  // namespace tideline::wire
