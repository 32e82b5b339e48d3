// SPDX-License-Identifier: Apache-2.0
// The Toeplitz hash that spreads flows over queues (receive side scaling), as Microsoft defined it
// and every NIC computes it. Thread: any; a key is read-only once made.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "wire/ip_address.h"

namespace tideline::wire {

inline constexpr std::size_t kRssKeySize = 40;
using RssKey = std::array<std::uint8_t, kRssKeySize>;

// The key of Microsoft's verification suite, and the default of most drivers.
inline constexpr RssKey kMicrosoftRssKey{
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

// A hash function with its key in the form that the fastest instructions of this processor want.
class Toeplitz {
 public:
  explicit Toeplitz(const RssKey& key);

  std::uint32_t hash(Ipv4Address source, Ipv4Address destination) const {
    return hash_(*this, std::array{word_of(source, destination)});
  }
  std::uint32_t hash(Ipv4Address source, Ipv4Address destination, std::uint16_t source_port,
                     std::uint16_t destination_port) const {
    return hash_(*this,
                 std::array{word_of(source, destination), word_of(source_port, destination_port)});
  }
  std::uint32_t hash(const Ipv6Address& source, const Ipv6Address& destination) const {
    return hash_(*this,
                 std::array{source.high(), source.low(), destination.high(), destination.low()});
  }
  std::uint32_t hash(const Ipv6Address& source, const Ipv6Address& destination,
                     std::uint16_t source_port, std::uint16_t destination_port) const {
    return hash_(*this, std::array{source.high(), source.low(), destination.high(),
                                   destination.low(), word_of(source_port, destination_port)});
  }

  // The input 64 bits at a time, its first bit in the highest place; the last word is filled up
  // with zeros, which add nothing. At most kMaxWords.
  using Words = std::span<const std::uint64_t>;
  static constexpr std::size_t kMaxWords = 5;

  // The two ways to compute it, for tests and benchmarks.
  static bool has_carryless_multiply();
  std::uint32_t hash_by_multiply(Words words) const;
  std::uint32_t hash_by_table(Words words) const;

 private:
  static constexpr std::uint64_t word_of(Ipv4Address source, Ipv4Address destination) {
    return std::uint64_t{source.value()} << 32 | destination.value();
  }
  static constexpr std::uint64_t word_of(std::uint16_t source, std::uint16_t destination) {
    return std::uint64_t{source} << 48 | std::uint64_t{destination} << 32;
  }

  // For a word of input, the 96 key bits that it meets, the first in the lowest place.
  struct Window {
    std::uint64_t low;
    std::uint64_t high;
  };

  std::array<Window, kMaxWords> windows_;
  // For each half byte of input, what it adds to the hash.
  std::array<std::array<std::uint32_t, 16>, 16 * kMaxWords> table_;
  std::uint32_t (*hash_)(const Toeplitz&, Words);
};

}  // namespace tideline::wire
