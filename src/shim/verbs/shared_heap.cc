// SPDX-License-Identifier: Apache-2.0
#include "shim/verbs/shared_heap.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "base/bits.h"
#include "base/check.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "base/memfd.h"

namespace tideline::shim::verbs {
namespace {

constexpr std::size_t kSize = std::size_t{64} << 30;

// Never destroyed: programs free memory until the process is gone.
struct Heap {
  std::atomic<std::byte*> begin{nullptr};
  UniqueFd fd;
  Mapping memory;  // at a multiple of 2 MiB
  pid_t owner = 0;
  std::mutex mutex;
  std::map<std::size_t, std::size_t> blocks;  // offset and size of what is in use; whole pages
};
Heap& heap() {
  static Heap* const instance = new Heap;
  return *instance;
}

// A forked child has a copy of this, but not the memory.
bool is_owner(const Heap& h) { return h.owner == ::getpid(); }

void before_fork() { heap().mutex.lock(); }
void in_parent() { heap().mutex.unlock(); }
void in_child() {
  Heap& h = heap();
  if (std::byte* begin = h.begin.load(std::memory_order_relaxed); begin != nullptr) {
    void* own = ::mmap(begin, kSize, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, h.fd.get(), 0);
    // A child must not go on that would write into its parent's memory.
    CHECK(own == begin, "errno {}", errno);
  }
  h.mutex.unlock();
}

std::size_t offset_of(const Heap& h, const void* memory) {
  return static_cast<std::size_t>(static_cast<const std::byte*>(memory) -
                                  h.begin.load(std::memory_order_relaxed));
}

// The first gap that is large enough; kSize if there is none.
std::size_t find_gap(const Heap& h, std::size_t alignment, std::size_t size) {
  std::size_t at = 0;
  for (const auto& [offset, used] : h.blocks) {
    if (at <= offset && offset - at >= size) return at;
    at = std::max(at, align_up(offset + used, alignment));
  }
  return at <= kSize && kSize - at >= size ? at : kSize;
}

}  // namespace

void open_shared_heap() {
  Heap& h = heap();
  rlimit limit{};
  // A file beyond the limit is a signal, not an error.
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur < kSize) return;
  auto fd = create_memfd("tideline-heap", kSize, PageKind::kNormal);
  if (!fd || !seal_memfd(fd->get(), Sharing::kReadWrite)) return;
  auto memory = Mapping::map(fd->get(), kSize, Access::kReadWrite);
  if (!memory) return;
  // Only what is in use belongs in a core file.
  ::madvise(memory->data(), kSize, MADV_DONTDUMP);
  if (::pthread_atfork(&before_fork, &in_parent, &in_child) != 0) return;
  h.fd = std::move(*fd);
  h.memory = std::move(*memory);
  h.owner = ::getpid();
  h.begin.store(h.memory.data(), std::memory_order_release);
}

void* allocate_shared(std::size_t alignment, std::size_t size) {
  Heap& h = heap();
  std::byte* begin = h.begin.load(std::memory_order_acquire);
  if (begin == nullptr || size == 0 || size > kSize || alignment > kHugePageSize || !is_owner(h)) {
    return nullptr;
  }
  const std::size_t bytes = align_up(size, kPageSize);
  const std::scoped_lock lock(h.mutex);
  const std::size_t offset = find_gap(h, std::max(alignment, kPageSize), bytes);
  if (offset == kSize) return nullptr;
  h.blocks.emplace(offset, bytes);
  ::madvise(begin + offset, bytes, MADV_DODUMP);
  return begin + offset;
}

bool is_shared(const void* memory) {
  const auto begin = reinterpret_cast<std::uintptr_t>(heap().begin.load(std::memory_order_acquire));
  return begin != 0 && reinterpret_cast<std::uintptr_t>(memory) - begin < kSize;
}

std::size_t shared_size(const void* memory) {
  Heap& h = heap();
  const std::scoped_lock lock(h.mutex);
  const auto block = h.blocks.find(offset_of(h, memory));
  return block == h.blocks.end() ? 0 : block->second;
}

// What is not in use takes no memory. A peer that still has a mapping of it reads zeros.
void free_shared(void* memory) {
  Heap& h = heap();
  const std::scoped_lock lock(h.mutex);
  const auto block = h.blocks.find(offset_of(h, memory));
  if (block == h.blocks.end()) return;  // freed twice, or within a block: the program's mistake
  const auto [offset, bytes] = *block;
  if (is_owner(h)) {
    ::fallocate(h.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                static_cast<off_t>(bytes));
    ::madvise(memory, bytes, MADV_DONTDUMP);
  } else {
    ::madvise(memory, bytes, MADV_DONTNEED);
  }
  h.blocks.erase(block);
}

}  // namespace tideline::shim::verbs
