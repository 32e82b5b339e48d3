// SPDX-License-Identifier: Apache-2.0
// For tests that a data path allocates nothing: replaces malloc by one that counts. Included by one
// source of a test program, which no sanitizer may be in, for they replace malloc themselves.
#pragma once

#include <atomic>
#include <cstddef>

namespace tideline {
inline std::atomic<std::size_t> allocations{0};
}  // namespace tideline

// glibc's own entry points, under which its malloc stays reachable. operator new calls malloc.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) {
  ++tideline::allocations;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  ++tideline::allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
  ++tideline::allocations;
  return __libc_realloc(old, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  ++tideline::allocations;
  return __libc_memalign(alignment, size);
}
}
