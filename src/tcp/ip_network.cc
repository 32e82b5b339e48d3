// SPDX-License-Identifier: Apache-2.0
#include "tcp/ip_network.h"

#include <utility>

namespace tideline::tcp {

ip::Sent IpNetwork::send(packet::PacketPtr packet, const ip::Departure& departure, Instant now) {
  return stack_.send(std::move(packet), departure, now);
}

std::optional<wire::Ipv6Address> IpNetwork::source_for(const wire::Ipv6Address& destination) const {
  return stack_.source_for(destination);
}

std::uint16_t IpNetwork::mtu_to(const wire::Ipv6Address& destination, Instant now) const {
  return stack_.path_mtu(destination, now).mtu;
}

void IpNetwork::confirm(const wire::Ipv6Address& destination, Instant now) {
  stack_.confirm(destination, now);
}

}  // namespace tideline::tcp
