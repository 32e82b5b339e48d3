// SPDX-License-Identifier: Apache-2.0
// Who talks to whom: an IP address of either version and a port. Thread: any.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include <tideline/error.h>

namespace tideline {

struct Endpoint {
  // An IPv6 address as on the wire; IPv4 as ::ffff:a.b.c.d. All zero: any address of the host.
  std::array<std::uint8_t, 16> address{};
  std::uint16_t port = 0;

  // `host` is an address, "192.0.2.1" or "2001:db8::1"; names are not resolved.
  static Result<Endpoint> parse(std::string_view host, std::uint16_t port);
  // "192.0.2.1", "2001:db8::1".
  std::string host() const;
  // "192.0.2.1:80", "[2001:db8::1]:80".
  std::string text() const;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

}  // namespace tideline
