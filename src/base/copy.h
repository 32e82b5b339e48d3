// SPDX-License-Identifier: Apache-2.0
// Copying what another core has written. Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tideline {

// As memcpy, by a plain loop of vector loads and stores. The C library's memcpy takes the string
// instruction for long blocks, which waits for lines of another core one by one, and is slower by a
// third and more (docs/adr/0001); in one's own cache they are equals.
inline void copy_by_vectors(void* to, const void* from, std::size_t bytes) {
  using Vector __attribute__((vector_size(32), aligned(1), may_alias)) = std::uint64_t;
  auto* out = static_cast<std::byte*>(to);
  const auto* in = static_cast<const std::byte*>(from);
  std::size_t at = 0;
  for (; at + sizeof(Vector) <= bytes; at += sizeof(Vector)) {
    *reinterpret_cast<Vector*>(out + at) = *reinterpret_cast<const Vector*>(in + at);
  }
  if (at < bytes) std::memcpy(out + at, in + at, bytes - at);
}

}  // namespace tideline
