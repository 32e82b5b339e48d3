// SPDX-License-Identifier: Apache-2.0
// Small arithmetic that rings, pools and mappings share.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace tideline {

// Two cores that write to neighbouring lines of this size do not disturb each other.
inline constexpr std::size_t kCacheLine = 64;
inline constexpr std::size_t kPageSize = 4096;
inline constexpr std::size_t kHugePageSize = std::size_t{2} << 20;

// `value` rounded up to a multiple of `alignment`, a power of two.
template <std::unsigned_integral T>
constexpr T align_up(T value, T alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

template <std::unsigned_integral T>
constexpr bool is_power_of_two(T value) {
  return std::has_single_bit(value);
}

}  // namespace tideline
