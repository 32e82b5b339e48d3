// SPDX-License-Identifier: Apache-2.0
#include <tideline/endpoint.h>

#include <fmt/core.h>

#include "base/error.h"
#include "wire/ip_address.h"

namespace tideline {

Result<Endpoint> Endpoint::parse(std::string_view host, std::uint16_t port) {
  if (host.find(':') == std::string_view::npos) {
    auto address = wire::Ipv4Address::from_text(host);
    if (!address) return fail(std::move(address.error()));
    return Endpoint{.address = wire::Ipv6Address::mapped(*address).bytes(), .port = port};
  }
  auto address = wire::Ipv6Address::from_text(host);
  if (!address) return fail(std::move(address.error()));
  return Endpoint{.address = address->bytes(), .port = port};
}

std::string Endpoint::host() const {
  const wire::Ipv6Address ip(address);
  return ip.is_mapped() ? ip.mapped_ipv4().to_text() : ip.to_text();
}

std::string Endpoint::text() const {
  const bool is_ipv4 = wire::Ipv6Address(address).is_mapped();
  return is_ipv4 ? fmt::format("{}:{}", host(), port) : fmt::format("[{}]:{}", host(), port);
}

}  // namespace tideline
