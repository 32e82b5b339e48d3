// SPDX-License-Identifier: Apache-2.0
// Packets as tests and fuzz seeds write them: hexadecimal text, with single bytes replaced.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "wire/view.h"

namespace tideline::wire {

using ByteVector = std::vector<std::byte>;

// "45 00", blanks optional.
inline ByteVector from_hex(std::string_view hex) {
  ByteVector bytes;
  while (!hex.empty()) {
    if (hex.front() == ' ') {
      hex.remove_prefix(1);
      continue;
    }
    std::uint8_t value = 0;
    const std::string_view digits = hex.substr(0, 2);
    const char* begin = digits.data();  // NOLINT(bugprone-suspicious-stringview-data-usage): sized
    const char* end = begin + digits.size();
    CHECK(digits.size() == 2 && std::from_chars(begin, end, value, 16).ptr == end);
    bytes.push_back(static_cast<std::byte>(value));
    hex.remove_prefix(2);
  }
  return bytes;
}

// `bytes` with `values` written at `offset`.
inline ByteVector with(ByteVector bytes, std::size_t offset,
                       std::initializer_list<unsigned> values) {
  for (const unsigned value : values) bytes.at(offset++) = static_cast<std::byte>(value);
  return bytes;
}

// The first `size` bytes, in a vector of exactly that size: AddressSanitizer sees any read beyond.
inline ByteVector cut(const ByteVector& bytes, std::size_t size) {
  CHECK(size <= bytes.size());
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)};
}

// What is left behind the first `size` bytes.
inline ByteVector behind(const ByteVector& bytes, std::size_t size) {
  CHECK(size <= bytes.size());
  return {bytes.begin() + static_cast<std::ptrdiff_t>(size), bytes.end()};
}

inline ByteVector operator+(ByteVector left, const ByteVector& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

}  // namespace tideline::wire
