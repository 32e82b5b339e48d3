// SPDX-License-Identifier: Apache-2.0
// Big-endian integers as they lie in a packet: byte arrays of alignment 1, converted explicitly, so
// that a header struct may be laid over any address and nobody mixes the two byte orders by
// mistake.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace tideline::wire {

static_assert(std::endian::native == std::endian::little, "the checksum kernels assume it");

// An unsigned integer of N bytes, most significant byte first.
template <std::unsigned_integral T, std::size_t N = sizeof(T)>
class BigEndian {
 public:
  constexpr BigEndian() = default;
  constexpr explicit BigEndian(T value) {
    if constexpr (N == sizeof(T)) {
      bytes_ = std::bit_cast<std::array<std::uint8_t, N>>(std::byteswap(value));
    } else {
      for (std::size_t i = 0; i < N; ++i) {
        bytes_[N - 1 - i] = static_cast<std::uint8_t>(value >> (8 * i));
      }
    }
  }

  constexpr T value() const {
    if constexpr (N == sizeof(T)) {
      return std::byteswap(std::bit_cast<T>(bytes_));
    } else {
      T value = 0;
      for (const std::uint8_t byte : bytes_) value = static_cast<T>(value << 8 | byte);
      return value;
    }
  }
  constexpr explicit operator T() const { return value(); }

  // By value: a comparison of arrays would call memcmp.
  friend constexpr bool operator==(const BigEndian& a, const BigEndian& b) {
    return a.value() == b.value();
  }

 private:
  std::array<std::uint8_t, N> bytes_{};
};

using be16 = BigEndian<std::uint16_t>;
using be24 = BigEndian<std::uint32_t, 3>;
using be32 = BigEndian<std::uint32_t>;
using be64 = BigEndian<std::uint64_t>;

static_assert(sizeof(be16) == 2 && alignof(be16) == 1);
static_assert(sizeof(be24) == 3 && alignof(be24) == 1);
static_assert(sizeof(be32) == 4 && alignof(be32) == 1);
static_assert(sizeof(be64) == 8 && alignof(be64) == 1);

}  // namespace tideline::wire
