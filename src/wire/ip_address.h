// SPDX-License-Identifier: Apache-2.0
// IPv4 and IPv6 addresses and prefixes: as they lie on the wire, with their text forms and the
// classes that protocols ask for. RFC 4291, RFC 5952, RFC 1122 §3.2.1.3.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "wire/endian.h"

namespace tideline::wire {

// Spreads a key over 64 bits (the finaliser of splitmix64). Not keyed: tables that a peer can fill
// at will need a secret of their own.
constexpr std::uint64_t mix_hash(std::uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

class Ipv4Address {
 public:
  static constexpr unsigned kBits = 32;

  constexpr Ipv4Address() = default;
  constexpr explicit Ipv4Address(std::uint32_t value)
      : bytes_(std::bit_cast<std::array<std::uint8_t, 4>>(std::byteswap(value))) {}
  constexpr Ipv4Address(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d)
      : bytes_{a, b, c, d} {}

  // "192.0.2.1": four decimal numbers without leading zeros.
  static Result<Ipv4Address> from_text(std::string_view text);
  std::string to_text() const;

  constexpr const std::array<std::uint8_t, 4>& bytes() const { return bytes_; }
  // 192.0.2.1 is 0xc0000201.
  constexpr std::uint32_t value() const {
    return std::byteswap(std::bit_cast<std::uint32_t>(bytes_));
  }

  constexpr bool is_unspecified() const { return value() == 0; }
  constexpr bool is_loopback() const { return bytes_[0] == 127; }
  constexpr bool is_multicast() const { return (bytes_[0] & 0xf0) == 0xe0; }
  constexpr bool is_link_local() const { return bytes_[0] == 169 && bytes_[1] == 254; }
  // 255.255.255.255; a prefix has a broadcast address of its own.
  constexpr bool is_limited_broadcast() const { return value() == 0xffffffff; }
  // Class E, 240/4, with the limited broadcast address.
  constexpr bool is_reserved() const { return bytes_[0] >= 240; }

  // The first `length` bits, the rest zero; length <= 32.
  constexpr Ipv4Address masked(unsigned length) const {
    return Ipv4Address(length == 0 ? 0 : value() & (0xffffffff << (32 - length)));
  }

  friend constexpr auto operator<=>(const Ipv4Address&, const Ipv4Address&) = default;
  // On the way of every packet, as below: that of the arrays would call memcmp.
  friend constexpr bool operator==(const Ipv4Address& a, const Ipv4Address& b) {
    return std::bit_cast<std::uint32_t>(a.bytes_) == std::bit_cast<std::uint32_t>(b.bytes_);
  }

 private:
  std::array<std::uint8_t, 4> bytes_{};
};

static_assert(sizeof(Ipv4Address) == 4 && alignof(Ipv4Address) == 1);

class Ipv6Address {
 public:
  static constexpr unsigned kBits = 128;

  constexpr Ipv6Address() = default;
  constexpr explicit Ipv6Address(const std::array<std::uint8_t, 16>& bytes) : bytes_(bytes) {}
  constexpr Ipv6Address(std::uint64_t high, std::uint64_t low)
      : bytes_(std::bit_cast<std::array<std::uint8_t, 16>>(
            std::array{std::byteswap(high), std::byteswap(low)})) {}

  // Any form of RFC 4291 §2.2, without a zone.
  static Result<Ipv6Address> from_text(std::string_view text);
  // The form of RFC 5952.
  std::string to_text() const;

  // ::ffff:a.b.c.d, the form in which sockets see IPv4 peers.
  static constexpr Ipv6Address mapped(Ipv4Address address) {
    return Ipv6Address(0, 0xffff00000000 | address.value());
  }
  constexpr bool is_mapped() const { return high() == 0 && low() >> 32 == 0xffff; }
  constexpr Ipv4Address mapped_ipv4() const {
    return Ipv4Address(static_cast<std::uint32_t>(low()));
  }

  // ff02::1:ffXX:XXXX, where neighbour solicitations for this address go: RFC 4291 §2.7.1.
  constexpr Ipv6Address solicited_node() const {
    return Ipv6Address(0xff02000000000000, 0x1ff000000 | (low() & 0xffffff));
  }

  constexpr const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  constexpr std::uint64_t high() const { return std::byteswap(halves()[0]); }
  constexpr std::uint64_t low() const { return std::byteswap(halves()[1]); }

  // On the way of every packet: a comparison of arrays would call memcmp.
  constexpr bool is_unspecified() const { return (halves()[0] | halves()[1]) == 0; }
  constexpr bool is_loopback() const {
    return halves()[0] == 0 && halves()[1] == std::byteswap(std::uint64_t{1});
  }
  constexpr bool is_multicast() const { return bytes_[0] == 0xff; }
  // The scope of a multicast address: 1 interface-local, 2 link-local, 14 global: RFC 4291 §2.7.
  constexpr unsigned multicast_scope() const { return bytes_[1] & 0x0f; }
  constexpr bool is_link_local() const { return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80; }
  constexpr bool is_unique_local() const { return (bytes_[0] & 0xfe) == 0xfc; }
  constexpr bool is_solicited_node() const {
    return high() == 0xff02000000000000 && low() >> 24 == 0x1ff;
  }

  // The first `length` bits, the rest zero; length <= 128.
  constexpr Ipv6Address masked(unsigned length) const {
    constexpr std::uint64_t kAll = ~std::uint64_t{0};
    if (length == 0) return {};
    if (length <= 64) return {high() & (kAll << (64 - length)), 0};
    return {high(), low() & (kAll << (128 - length))};
  }

  friend constexpr auto operator<=>(const Ipv6Address&, const Ipv6Address&) = default;
  friend constexpr bool operator==(const Ipv6Address& a, const Ipv6Address& b) {
    return ((a.halves()[0] ^ b.halves()[0]) | (a.halves()[1] ^ b.halves()[1])) == 0;
  }

 private:
  constexpr std::array<std::uint64_t, 2> halves() const {
    return std::bit_cast<std::array<std::uint64_t, 2>>(bytes_);
  }

  std::array<std::uint8_t, 16> bytes_{};
};

static_assert(sizeof(Ipv6Address) == 16 && alignof(Ipv6Address) == 1);

inline constexpr Ipv6Address kIpv6AllNodes(0xff02000000000000, 1);
inline constexpr Ipv6Address kIpv6AllRouters(0xff02000000000000, 2);

// An address and how many of its leading bits name the network. The address is kept whole, so that
// "192.0.2.1/24" serves as an interface address too.
template <typename Address>
struct Prefix {
  Address address;
  std::uint8_t length = 0;

  // "192.0.2.0/24", "2001:db8::/32".
  static Result<Prefix> from_text(std::string_view text);
  std::string to_text() const;

  constexpr Address network() const { return address.masked(length); }
  constexpr bool contains(const Address& other) const { return other.masked(length) == network(); }

  friend constexpr bool operator==(const Prefix&, const Prefix&) = default;
};

using Ipv4Prefix = Prefix<Ipv4Address>;
using Ipv6Prefix = Prefix<Ipv6Address>;

// The broadcast address of an IPv4 network; prefixes of 31 and 32 bits have none (RFC 3021), and
// get 255.255.255.255.
constexpr Ipv4Address directed_broadcast(const Ipv4Prefix& prefix) {
  if (prefix.length >= 31) return Ipv4Address(0xffffffff);
  return Ipv4Address(prefix.network().value() | (0xffffffff >> prefix.length));
}

}  // namespace tideline::wire

template <>
struct std::hash<tideline::wire::Ipv4Address> {
  std::size_t operator()(const tideline::wire::Ipv4Address& address) const noexcept {
    return tideline::wire::mix_hash(address.value());
  }
};

template <>
struct std::hash<tideline::wire::Ipv6Address> {
  std::size_t operator()(const tideline::wire::Ipv6Address& address) const noexcept {
    return tideline::wire::mix_hash(address.high() ^ tideline::wire::mix_hash(address.low()));
  }
};
