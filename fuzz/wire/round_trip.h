// SPDX-License-Identifier: Apache-2.0
// The property that every parser of a header has: what it accepts, written and read again, is the
// same value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "wire/view.h"

namespace tideline::wire {

inline Bytes input_bytes(const std::uint8_t* data, std::size_t size) {
  return std::as_bytes(std::span(data, size));
}

// No header is longer.
inline constexpr std::size_t kHeaderRoom = 512;

// Writes `value` and, behind it, what followed the `header_size` bytes of its header in `packet`.
template <typename Value>
std::vector<std::byte> rewrite(const Value& value, Bytes packet, std::size_t header_size) {
  std::array<std::byte, kHeaderRoom> header;
  const std::size_t written = emit(value, header);
  CHECK(written <= header.size() && header_size <= packet.size());
  std::vector<std::byte> copy(header.begin(),
                              header.begin() + static_cast<std::ptrdiff_t>(written));
  const Bytes rest = packet.subspan(header_size);
  copy.insert(copy.end(), rest.begin(), rest.end());
  return copy;
}

template <typename Parse>
void check_round_trip(Parse parse, Bytes packet, std::size_t header_size) {
  const auto value = parse(packet);
  if (!value) return;
  const auto again = parse(rewrite(*value, packet, header_size));
  CHECK(again.has_value() && *again == *value);
}

}  // namespace tideline::wire
