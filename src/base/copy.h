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
  // 16 bytes are what every x86-64 has: longer ones are taken apart, by way of the stack.
  using Vector __attribute__((vector_size(16), aligned(1), may_alias)) = std::uint64_t;
  auto* out = static_cast<std::byte*>(to);
  const auto* in = static_cast<const std::byte*>(from);
  constexpr std::size_t kBlock = 4 * sizeof(Vector);
  std::size_t at = 0;
  for (; at + kBlock <= bytes; at += kBlock) {
    Vector* target = reinterpret_cast<Vector*>(out + at);
    const Vector* source = reinterpret_cast<const Vector*>(in + at);
    const Vector a = source[0];
    const Vector b = source[1];
    const Vector c = source[2];
    const Vector d = source[3];
    target[0] = a;
    target[1] = b;
    target[2] = c;
    target[3] = d;
  }
  if (at < bytes) std::memcpy(out + at, in + at, bytes - at);
}

}  // namespace tideline
