// SPDX-License-Identifier: Apache-2.0
#include "engine/client_memory.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/guarded_copy.h"
#include "base/memfd.h"

namespace tideline::engine {
namespace {

std::optional<std::uint64_t> former(const AtomicResult& result) {
  if (result.done == 0) return std::nullopt;
  return result.former;
}

}  // namespace

Result<int> ClientMemory::make_heap(std::size_t size) {
  if (heap_fd_) {
    return fail({.kind = ErrorKind::kUsage, .what = "the program has its heap already"});
  }
  auto fd = create_memfd("tideline-heap", size, PageKind::kNormal);
  if (!fd) return fail(std::move(fd.error()));
  auto mapping = Mapping::map(fd->get(), size, Access::kReadWrite);
  if (!mapping) return fail(std::move(mapping.error()));
  if (Status s = seal_memfd(fd->get(), Sharing::kReadWrite); !s) return fail(std::move(s.error()));
  ::madvise(mapping->data(), size, MADV_DONTDUMP);
  heap_fd_ = std::move(*fd);
  heap_ = std::move(*mapping);
  return heap_fd_.get();
}

bool ClientMemory::is_memory(int fd) {
  struct statfs system{};
  if (::fstatfs(fd, &system) != 0 || system.f_type != PROC_SUPER_MAGIC) return false;
  std::array<char, 64> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
  return size > 0 &&
         std::string_view(path.data(), static_cast<std::size_t>(size)).ends_with("/mem");
}

bool ClientMemory::probe(std::uint64_t address, std::uint64_t word) {
  std::uint64_t found = 0;
  reachable_ = memory_fd_ && read_process(address, std::as_writable_bytes(std::span(&found, 1))) &&
               found == word;
  return reachable_;
}

bool ClientMemory::load(std::uint64_t address, std::span<std::byte> to) {
  if (const std::byte* from = in_heap(address, to.size())) {
    return guarded_copy(to.data(), from, to.size()).copied == to.size();
  }
  return reachable_ && read_process(address, to);
}

bool ClientMemory::store(std::uint64_t address, std::span<const std::byte> from) {
  if (std::byte* to = in_heap(address, from.size())) {
    return guarded_copy(to, from.data(), from.size()).copied == from.size();
  }
  return reachable_ && write_process(address, from);
}

std::optional<std::uint64_t> ClientMemory::compare_swap(std::uint64_t address,
                                                        std::uint64_t compare, std::uint64_t swap) {
  if (void* word = in_heap(address, sizeof(std::uint64_t))) {
    return former(tideline_compare_swap(word, compare, swap));
  }
  std::uint64_t value = 0;
  if (!load(address, std::as_writable_bytes(std::span(&value, 1)))) return std::nullopt;
  if (value == compare && !store(address, std::as_bytes(std::span(&swap, 1)))) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> ClientMemory::fetch_add(std::uint64_t address, std::uint64_t add) {
  if (void* word = in_heap(address, sizeof(std::uint64_t))) {
    return former(tideline_fetch_add(word, add));
  }
  std::uint64_t value = 0;
  if (!load(address, std::as_writable_bytes(std::span(&value, 1)))) return std::nullopt;
  const std::uint64_t next = value + add;
  if (!store(address, std::as_bytes(std::span(&next, 1)))) return std::nullopt;
  return value;
}

bool ClientMemory::read_process(std::uint64_t address, std::span<std::byte> to) const {
  return ::pread(memory_fd_.get(), to.data(), to.size(), static_cast<off_t>(address)) ==
         static_cast<ssize_t>(to.size());
}

// The last byte by a call of its own, but of a word: programs wait for it (docs/adr/0004).
bool ClientMemory::write_process(std::uint64_t address, std::span<const std::byte> from) const {
  const auto write = [&](std::span<const std::byte> part, std::uint64_t to) {
    return ::pwrite(memory_fd_.get(), part.data(), part.size(), static_cast<off_t>(to)) ==
           static_cast<ssize_t>(part.size());
  };
  if (from.size() <= sizeof(std::uint64_t)) return write(from, address);
  const std::size_t front = from.size() - 1;
  return write(from.first(front), address) && write(from.last(1), address + front);
}

}  // namespace tideline::engine
