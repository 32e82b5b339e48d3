// SPDX-License-Identifier: Apache-2.0
#include "base/mapping.h"

#include <fmt/core.h>
#include <sys/mman.h>

#include <utility>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace tideline {

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

Result<Mapping> Mapping::map(int fd, std::size_t size, Access access) {
  const int protection = access == Access::kReadWrite ? PROT_READ | PROT_WRITE : PROT_READ;
  void* data = ::mmap(nullptr, size, protection, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) {
    return fail_errno(fmt::format("cannot map {} bytes of shared memory", size));
  }
  return Mapping(static_cast<std::byte*>(data), size, access);
}

Result<Mapping> Mapping::anonymous_shared(std::size_t size) {
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
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

bool Mapping::try_collapse() { return ::madvise(data_, size_, MADV_COLLAPSE) == 0; }

}  // namespace tideline
