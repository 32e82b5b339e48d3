// SPDX-License-Identifier: Apache-2.0
#include "shim/verbs/shared_heap.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "base/bits.h"
#include "base/check.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "base/memfd.h"

namespace tideline::shim::verbs {
namespace {

constexpr std::size_t kOwnSize = std::size_t{64} << 30;

// Beyond, the C library's memory serves: each block is a mapping of the kernel's, which are
// counted, and is passed over by the search for a gap.
constexpr std::size_t kMostBlocks = 4096;

// Never destroyed: programs free memory until the process is gone.
struct Heap {
  std::atomic<std::byte*> begin{nullptr};
  UniqueFd fd;
  ino_t inode = 0;
  Mapping memory;  // at a multiple of 2 MiB
  std::size_t size = 0;
  pid_t owner = 0;  // 0: this is a copy in a forked child
  std::mutex mutex;
  std::map<std::size_t, std::size_t> blocks;  // offset and size of what is in use; whole pages
  std::array<UniqueFd, 2> copied;             // a pipe on which a child says that it has its copy
};
Heap& heap() {
  static Heap* const instance = new Heap;
  return *instance;
}

// Not in a child, whether it has a copy or was made without handlers.
bool is_owner(const Heap& h) { return h.owner != 0 && h.owner == ::getpid(); }

// [begin, end) of the block's data from `at` on, what was never written left out; an empty range at
// the end. All of it where the program has closed our descriptor.
std::pair<off_t, off_t> next_data(const Heap& h, off_t at, off_t end) {
  struct stat status{};
  if (::fstat(h.fd.get(), &status) != 0 || status.st_ino != h.inode) return {at, end};
  const off_t data = ::lseek(h.fd.get(), at, SEEK_DATA);
  if (data < 0 || data >= end) return {end, end};
  const off_t hole = ::lseek(h.fd.get(), data, SEEK_HOLE);
  return {data, hole < 0 ? end : std::min(hole, end)};
}

// Puts private memory in the place of [begin, begin + bytes), with what lies there.
bool take_copy_of(const Heap& h, std::byte* begin, std::size_t bytes, off_t offset) {
  void* own = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (own == MAP_FAILED) return false;
  // The program may have protected parts of it.
  ::mprotect(begin, bytes, PROT_READ);
  const off_t end = offset + static_cast<off_t>(bytes);
  for (auto [at, stop] = next_data(h, offset, end); at < stop;
       std::tie(at, stop) = next_data(h, stop, end)) {
    std::memcpy(static_cast<std::byte*>(own) + (at - offset), begin + (at - offset),
                static_cast<std::size_t>(stop - at));
  }
  return ::mremap(own, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, begin) == begin;
}

// Only system calls: other threads of the parent may have held any lock. What the system refuses is
// left without access: a child must not go on that would write into its parent's memory.
void take_copy(Heap& h) {
  std::byte* begin = h.begin.load(std::memory_order_relaxed);
  const auto close_off = [begin](std::size_t from, std::size_t to) {
    if (from == to) return;
    void* closed = ::mmap(begin + from, to - from, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    CHECK(closed == begin + from, "errno {}", errno);
  };
  std::size_t done = 0;
  for (const auto& [offset, bytes] : h.blocks) {
    close_off(done, offset);
    done = offset + bytes;
    if (!take_copy_of(h, begin + offset, bytes, static_cast<off_t>(offset)))
      close_off(offset, done);
  }
  close_off(done, h.size);
  h.owner = 0;
}

void before_fork() {
  Heap& h = heap();
  h.mutex.lock();
  std::array<int, 2> ends{-1, -1};
  if (!is_owner(h) || h.blocks.empty() || ::pipe2(ends.data(), O_CLOEXEC) != 0) return;
  h.copied = {UniqueFd(ends[0]), UniqueFd(ends[1])};
}
// The pipe ends with the child, if it does so before it has its copy.
void in_parent() {
  Heap& h = heap();
  const int saved = errno;
  h.copied[1].reset();
  std::byte done{};
  while (h.copied[0] && ::read(h.copied[0].get(), &done, 1) < 0 && errno == EINTR) continue;
  h.copied[0].reset();
  errno = saved;
  h.mutex.unlock();
}
void in_child() {
  Heap& h = heap();
  if (h.owner != 0) take_copy(h);
  const std::byte done{};
  if (h.copied[1]) (void)!::write(h.copied[1].get(), &done, 1);
  h.copied = {};
  h.mutex.unlock();
}

std::size_t offset_of(const Heap& h, const void* memory) {
  return static_cast<std::size_t>(static_cast<const std::byte*>(memory) -
                                  h.begin.load(std::memory_order_relaxed));
}

// The first gap that is large enough; the heap's size if there is none.
std::size_t find_gap(const Heap& h, std::size_t alignment, std::size_t size) {
  std::size_t at = 0;
  for (const auto& [offset, used] : h.blocks) {
    if (at <= offset && offset - at >= size) return at;
    at = std::max(at, align_up(offset + used, alignment));
  }
  return at <= h.size && h.size - at >= size ? at : h.size;
}

}  // namespace

const void* open_shared_heap(UniqueFd fd, std::size_t size) {
  Heap& h = heap();
  if (h.begin.load(std::memory_order_acquire) != nullptr) return nullptr;
  auto memory = Mapping::map(fd.get(), size, Access::kReadWrite);
  struct stat status{};
  if (!memory || ::fstat(fd.get(), &status) != 0) return nullptr;
  // Only what is in use belongs in a core file.
  ::madvise(memory->data(), size, MADV_DONTDUMP);
  if (::pthread_atfork(&before_fork, &in_parent, &in_child) != 0) return nullptr;
  h.fd = std::move(fd);
  h.inode = status.st_ino;
  h.memory = std::move(*memory);
  h.size = size;
  h.owner = ::getpid();
  h.begin.store(h.memory.data(), std::memory_order_release);
  return h.memory.data();
}

void open_shared_heap() {
  rlimit limit{};
  // A file beyond the limit is a signal, not an error.
  if (heap().begin.load(std::memory_order_acquire) != nullptr ||
      ::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur < kOwnSize) {
    return;
  }
  auto fd = create_memfd("tideline-heap", kOwnSize, PageKind::kNormal);
  if (!fd || !seal_memfd(fd->get(), Sharing::kReadWrite)) return;
  open_shared_heap(std::move(*fd), kOwnSize);
}

void* allocate_shared(std::size_t alignment, std::size_t size) {
  Heap& h = heap();
  std::byte* begin = h.begin.load(std::memory_order_acquire);
  if (begin == nullptr || size == 0 || size > h.size || alignment > kHugePageSize || !is_owner(h)) {
    return nullptr;
  }
  const std::size_t bytes = align_up(size, kPageSize);
  const std::scoped_lock lock(h.mutex);
  if (h.blocks.size() >= kMostBlocks) return nullptr;
  const std::size_t offset = find_gap(h, std::max(alignment, kPageSize), bytes);
  if (offset == h.size) return nullptr;
  h.blocks.emplace(offset, bytes);
  ::madvise(begin + offset, bytes, MADV_DODUMP);
  return begin + offset;
}

bool is_shared(const void* memory) {
  const Heap& h = heap();
  const auto begin = reinterpret_cast<std::uintptr_t>(h.begin.load(std::memory_order_acquire));
  return begin != 0 && reinterpret_cast<std::uintptr_t>(memory) - begin < h.size;
}

std::size_t shared_size(const void* memory) {
  Heap& h = heap();
  const std::scoped_lock lock(h.mutex);
  const auto block = h.blocks.find(offset_of(h, memory));
  return block == h.blocks.end() ? 0 : block->second;
}

// What is not in use takes no memory. A peer that still has a mapping of it reads zeros. By the
// address: a descriptor's number may be another file's by now, if the program has closed ours.
void free_shared(void* memory) {
  Heap& h = heap();
  const std::scoped_lock lock(h.mutex);
  const auto block = h.blocks.find(offset_of(h, memory));
  if (block == h.blocks.end()) return;  // freed twice, or within a block: the program's mistake
  const std::size_t bytes = block->second;
  const int saved = errno;  // free(3) preserves it
  if (is_owner(h)) {
    ::madvise(memory, bytes, MADV_REMOVE);
    ::madvise(memory, bytes, MADV_DONTDUMP);
  } else if (h.owner == 0) {
    ::madvise(memory, bytes, MADV_DONTNEED);
  }
  errno = saved;
  h.blocks.erase(block);
}

}  // namespace tideline::shim::verbs
