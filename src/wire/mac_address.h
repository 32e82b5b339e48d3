// SPDX-License-Identifier: Apache-2.0
// Ethernet addresses (IEEE 802, EUI-48), as they lie on the wire.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "wire/ip_address.h"

namespace tideline::wire {

class MacAddress {
 public:
  constexpr MacAddress() = default;
  constexpr explicit MacAddress(const std::array<std::uint8_t, 6>& bytes) : bytes_(bytes) {}

  // "02:00:00:00:00:01".
  static Result<MacAddress> from_text(std::string_view text);
  std::string to_text() const;

  constexpr const std::array<std::uint8_t, 6>& bytes() const { return bytes_; }

  // The group bit; a broadcast is a multicast too.
  constexpr bool is_multicast() const { return (bytes_[0] & 1) != 0; }
  constexpr bool is_broadcast() const;
  constexpr bool is_zero() const { return *this == MacAddress(); }
  // An address that one station may own.
  constexpr bool is_unicast() const { return !is_multicast() && !is_zero(); }

  // Where packets for a multicast address go: RFC 1112 §6.4, RFC 2464 §7.
  static constexpr MacAddress for_multicast(Ipv4Address group) {
    const auto& ip = group.bytes();
    return MacAddress({0x01, 0x00, 0x5e, static_cast<std::uint8_t>(ip[1] & 0x7f), ip[2], ip[3]});
  }
  static constexpr MacAddress for_multicast(const Ipv6Address& group) {
    const auto& ip = group.bytes();
    return MacAddress({0x33, 0x33, ip[12], ip[13], ip[14], ip[15]});
  }

  friend constexpr auto operator<=>(const MacAddress&, const MacAddress&) = default;
  // On the way of every packet: that of the arrays would call memcmp.
  friend constexpr bool operator==(const MacAddress& a, const MacAddress& b) {
    return a.first_four() == b.first_four() && a.bytes_[4] == b.bytes_[4] &&
           a.bytes_[5] == b.bytes_[5];
  }

 private:
  constexpr std::uint32_t first_four() const {
    return std::bit_cast<std::uint32_t>(
        std::array<std::uint8_t, 4>{bytes_[0], bytes_[1], bytes_[2], bytes_[3]});
  }

  std::array<std::uint8_t, 6> bytes_{};
};

static_assert(sizeof(MacAddress) == 6 && alignof(MacAddress) == 1);

inline constexpr MacAddress kMacBroadcast({0xff, 0xff, 0xff, 0xff, 0xff, 0xff});

// On the way of every multicast: a comparison of arrays would call memcmp.
constexpr bool MacAddress::is_broadcast() const {
  return (bytes_[0] & bytes_[1] & bytes_[2] & bytes_[3] & bytes_[4] & bytes_[5]) == 0xff;
}

}  // namespace tideline::wire

template <>
struct std::hash<tideline::wire::MacAddress> {
  std::size_t operator()(const tideline::wire::MacAddress& mac) const noexcept {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : mac.bytes()) value = value << 8 | byte;
    return tideline::wire::mix_hash(value);
  }
};
