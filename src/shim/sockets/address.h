// SPDX-License-Identifier: Apache-2.0
// Addresses of programs and of engines. Thread: any.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>

#include "client/types.h"

namespace tideline::shim::sockets {

// Nothing if it is not an address of IPv4 or IPv6.
std::optional<client::Endpoint> to_endpoint(const sockaddr* address, socklen_t size);
// As getsockname(2) has it: cut to what fits. For a socket of AF_INET or AF_INET6.
void to_sockaddr(const client::Endpoint& from, int domain, sockaddr* to, socklen_t* size);

inline bool is_any(const wire::Ipv6Address& address) {
  return address.is_unspecified() ||
         (address.is_mapped() && address.mapped_ipv4().is_unspecified());
}
inline bool is_loopback(const wire::Ipv6Address& address) {
  return address.is_loopback() || (address.is_mapped() && address.mapped_ipv4().is_loopback());
}

}  // namespace tideline::shim::sockets
