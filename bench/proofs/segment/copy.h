// SPDX-License-Identifier: Apache-2.0
// Copying a frame out of the arena of a member on another core. Thread: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace proofs::segment {

using CopyRoutine = void* (*)(void* to, const void* from, std::size_t bytes);

// A plain loop of vector loads and stores. The C library's memcpy takes the string instruction for
// long blocks, which is slower by a third and more where the source lies in another core's cache
// (proof_segment).
inline void* copy_by_vectors(void* to, const void* from, std::size_t bytes) {
  using Vector __attribute__((vector_size(32), aligned(1), may_alias)) = std::uint64_t;
  auto* out = static_cast<std::byte*>(to);
  const auto* in = static_cast<const std::byte*>(from);
  std::size_t at = 0;
  for (; at + sizeof(Vector) <= bytes; at += sizeof(Vector)) {
    *reinterpret_cast<Vector*>(out + at) = *reinterpret_cast<const Vector*>(in + at);
  }
  std::memcpy(out + at, in + at, bytes - at);
  return to;
}

inline void* copy_by_rep_movsb(void* to, const void* from, std::size_t bytes) {
  void* const result = to;
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
  return result;
}

}  // namespace proofs::segment
