// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/address.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace tideline::shim::sockets {

std::optional<client::Endpoint> to_endpoint(const sockaddr* address, socklen_t size) {
  if (address == nullptr || size < sizeof(sa_family_t)) return std::nullopt;
  if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
    sockaddr_in ipv4;
    std::memcpy(&ipv4, address, sizeof(ipv4));
    return client::Endpoint{
        .address = wire::Ipv6Address::mapped(wire::Ipv4Address(ntohl(ipv4.sin_addr.s_addr))),
        .port = ntohs(ipv4.sin_port)};
  }
  if (address->sa_family == AF_INET6 && size >= offsetof(sockaddr_in6, sin6_scope_id)) {
    sockaddr_in6 ipv6{};
    std::memcpy(&ipv6, address, std::min<std::size_t>(size, sizeof(ipv6)));
    return client::Endpoint{
        .address = wire::Ipv6Address(std::bit_cast<std::array<std::uint8_t, 16>>(ipv6.sin6_addr)),
        .port = ntohs(ipv6.sin6_port)};
  }
  return std::nullopt;
}

void to_sockaddr(const client::Endpoint& from, int domain, sockaddr* to, socklen_t* size) {
  if (to == nullptr || size == nullptr) return;
  sockaddr_storage whole{};
  socklen_t length = 0;
  if (domain == AF_INET) {
    const sockaddr_in ipv4{.sin_family = AF_INET,
                           .sin_port = htons(from.port),
                           .sin_addr = {.s_addr = htonl(from.address.mapped_ipv4().value())},
                           .sin_zero = {}};
    length = sizeof(ipv4);
    std::memcpy(&whole, &ipv4, length);
  } else {
    const sockaddr_in6 ipv6{.sin6_family = AF_INET6,
                            .sin6_port = htons(from.port),
                            .sin6_flowinfo = 0,
                            .sin6_addr = std::bit_cast<in6_addr>(from.address.bytes()),
                            .sin6_scope_id = 0};
    length = sizeof(ipv6);
    std::memcpy(&whole, &ipv6, length);
  }
  std::memcpy(to, &whole, std::min(*size, length));
  *size = length;
}

}  // namespace tideline::shim::sockets
