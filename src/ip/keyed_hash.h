// SPDX-License-Identifier: Apache-2.0
// Where an address belongs in a table whose keys peers choose. Thread: any.
#pragma once

#include <array>
#include <cstdint>

#include "base/siphash.h"
#include "wire/ip_address.h"

namespace tideline::ip {

constexpr std::uint64_t keyed_hash(wire::Ipv4Address address, const HashKey& key) {
  return siphash(key, std::array{std::uint64_t{address.value()}});
}

constexpr std::uint64_t keyed_hash(const wire::Ipv6Address& address, const HashKey& key) {
  return siphash(key, std::array{address.high(), address.low()});
}

}  // namespace tideline::ip
