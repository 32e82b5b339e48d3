// SPDX-License-Identifier: Apache-2.0
// The C library's functions that give memory for transfers, in the preload library only: what is
// large, or aligned to a page, as buffers for devices are, comes from the shared heap while that is
// open (shared_heap.h). All of it can be given back as any other memory. Everything else goes on to
// whoever was asked before. malloc(3), posix_memalign(3). Thread: any.
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/bits.h"
#include "shim/verbs/shared_heap.h"

namespace tideline::shim::verbs {
namespace {

constexpr std::size_t kLarge = std::size_t{64} << 10;

// The next library's function of that name, looked up at the first use.
template <typename Function>
class Next {
 public:
  explicit constexpr Next(const char* name) : name_(name) {}

  Function* get() {
    Function* function = function_.load(std::memory_order_relaxed);
    if (function == nullptr) {
      function = reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name_));
      function_.store(function, std::memory_order_relaxed);
    }
    return function;
  }

 private:
  const char* name_;
  std::atomic<Function*> function_{nullptr};
};

constinit Next<int(void**, std::size_t, std::size_t)> next_posix_memalign("posix_memalign");
constinit Next<void*(std::size_t, std::size_t)> next_aligned_alloc("aligned_alloc");
constinit Next<void*(std::size_t, std::size_t)> next_memalign("memalign");
constinit Next<void*(std::size_t)> next_malloc("malloc");
constinit Next<void*(void*, std::size_t)> next_realloc("realloc");
constinit Next<void(void*)> next_free("free");
constinit Next<std::size_t(void*)> next_usable_size("malloc_usable_size");

void* allocate(std::size_t alignment, std::size_t size) {
  const bool for_transfers = size >= kLarge || (alignment >= kPageSize && size >= kPageSize);
  if (!for_transfers || !std::has_single_bit(alignment)) return nullptr;
  return allocate_shared(alignment, size);
}

}  // namespace
}  // namespace tideline::shim::verbs

using namespace tideline::shim::verbs;  // NOLINT(google-build-using-namespace): the C face of it

extern "C" {

int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
  if (alignment % sizeof(void*) == 0) {
    if (void* shared = allocate(alignment, size)) {
      *memory = shared;
      return 0;
    }
  }
  return next_posix_memalign.get()(memory, alignment, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  void* shared = allocate(alignment, size);
  return shared != nullptr ? shared : next_aligned_alloc.get()(alignment, size);
}

void* memalign(std::size_t alignment, std::size_t size) noexcept {
  void* shared = allocate(alignment, size);
  return shared != nullptr ? shared : next_memalign.get()(alignment, size);
}

void free(void* memory) noexcept {
  if (is_shared(memory)) {
    free_shared(memory);
  } else {
    next_free.get()(memory);
  }
}

// As the C library's: what moves loses its alignment.
void* realloc(void* memory, std::size_t size) noexcept {
  if (!is_shared(memory)) return next_realloc.get()(memory, size);
  if (size == 0) {
    free_shared(memory);
    return nullptr;
  }
  const std::size_t had = shared_size(memory);
  if (size <= had) return memory;
  void* moved = next_malloc.get()(size);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, memory, had);
  free_shared(memory);
  return moved;
}

std::size_t malloc_usable_size(void* memory) noexcept {
  return is_shared(memory) ? shared_size(memory) : next_usable_size.get()(memory);
}

}  // extern "C"
