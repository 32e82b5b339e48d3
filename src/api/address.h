// SPDX-License-Identifier: Apache-2.0
// Addresses of the API and of the engine. Thread: any.
#pragma once

#include <tideline/endpoint.h>

#include "ip/udp.h"
#include "tcp/endpoint.h"

namespace tideline::api {

inline tcp::Endpoint to_tcp(const Endpoint& endpoint) {
  return {.address = wire::Ipv6Address(endpoint.address), .port = endpoint.port};
}
inline ip::UdpEndpoint to_udp(const Endpoint& endpoint) {
  return {.address = wire::Ipv6Address(endpoint.address), .port = endpoint.port};
}
inline Endpoint to_api(const wire::Ipv6Address& address, std::uint16_t port) {
  return {.address = address.bytes(), .port = port};
}

}  // namespace tideline::api
