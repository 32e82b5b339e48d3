// SPDX-License-Identifier: Apache-2.0
// Who talks to whom. Addresses of IPv4 are mapped. Thread: any.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "wire/ip_address.h"

namespace tideline::tcp {

struct Endpoint {
  wire::Ipv6Address address;  // of a listener: ::, or 0.0.0.0 mapped, is any of ours
  std::uint16_t port = 0;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

struct EndpointHash {
  std::size_t operator()(const Endpoint& endpoint) const noexcept {
    return std::hash<wire::Ipv6Address>()(endpoint.address) ^ wire::mix_hash(endpoint.port);
  }
};

// A connection's name.
struct Tuple {
  Endpoint local;
  Endpoint remote;

  bool is_ipv4() const { return remote.address.is_mapped(); }
  // The words that keyed hashes are made of.
  std::array<std::uint64_t, 5> words() const {
    return {local.address.high(), local.address.low(), remote.address.high(), remote.address.low(),
            std::uint64_t{local.port} << 16 | remote.port};
  }
  friend bool operator==(const Tuple&, const Tuple&) = default;
};

}  // namespace tideline::tcp
