// SPDX-License-Identifier: Apache-2.0
#include "base/mapping.h"

#include <fmt/core.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "base/bits.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace tideline {

namespace {

// mmap of `size` bytes, at a multiple of 2 MiB if `size` is one: the kernel chooses any page
// otherwise, and memory at an odd place can never be mapped by huge pages.
void* map_aligned(std::size_t size, int protection, int flags, int fd, off_t offset = 0) {
  if (size % kHugePageSize != 0) return ::mmap(nullptr, size, protection, flags, fd, offset);
  const std::size_t room_size = size + kHugePageSize;
  void* room =
      ::mmap(nullptr, room_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return room;
  const auto begin = reinterpret_cast<std::uintptr_t>(room);
  const std::size_t before = align_up(begin, kHugePageSize) - begin;
  std::byte* aligned = static_cast<std::byte*>(room) + before;
  void* data = ::mmap(aligned, size, protection, flags | MAP_FIXED, fd, offset);
  const int error = errno;
  if (data == MAP_FAILED) {
    ::munmap(room, room_size);
  } else {
    if (before > 0) ::munmap(room, before);
    ::munmap(aligned + size, kHugePageSize - before);
  }
  errno = error;
  return data;
}

}  // namespace

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      access_(other.access_) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(access_, other.access_);
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

Result<Mapping> Mapping::map(int fd, std::size_t size, Access access, std::uint64_t offset) {
  const int protection = access == Access::kReadWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  void* data = map_aligned(size, protection, MAP_SHARED, fd, static_cast<off_t>(offset));
  if (data == MAP_FAILED) {
    return fail_errno(fmt::format("cannot map {} bytes of shared memory", size));
  }
  return Mapping(static_cast<std::byte*>(data), size, access);
}

Result<Mapping> Mapping::anonymous_shared(std::size_t size) {
  void* data = map_aligned(size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
  if (data == MAP_FAILED) {
    return fail_errno(fmt::format("cannot map {} bytes of memory", size));
  }
  return Mapping(static_cast<std::byte*>(data), size, Access::kReadWrite);
}

Status Mapping::populate() {
  const int advice = access_ == Access::kReadWrite ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
  if (::madvise(data_, size_, advice) != 0) {
    return fail_errno(fmt::format("cannot populate {} bytes of shared memory", size_),
                      "free memory or raise the container's limit, or use normal pages");
  }
  return {};
}

bool Mapping::try_collapse() {
  // The kernel passes over a huge page of which nothing is there.
  for (std::size_t at = 0; at + kHugePageSize <= size_; at += kHugePageSize) {
    if (::madvise(data_ + at, kPageSize, MADV_POPULATE_WRITE) != 0) return false;
  }
  return ::madvise(data_, size_, MADV_COLLAPSE) == 0;
}

}  // namespace tideline
