// SPDX-License-Identifier: Apache-2.0
// Ways of copying a frame out of the arena of a member on another core; base/copy.h has the one
// that the port uses. Thread: any.
#pragma once

#include <cstddef>
#include <cstring>

#include "base/copy.h"

namespace proofs::segment {

using tideline::copy_by_vectors;
using CopyRoutine = void (*)(void* to, const void* from, std::size_t bytes);

inline void copy_by_memcpy(void* to, const void* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}

inline void copy_by_rep_movsb(void* to, const void* from, std::size_t bytes) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

}  // namespace proofs::segment
