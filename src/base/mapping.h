// SPDX-License-Identifier: Apache-2.0
// A memory mapping with an owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"

namespace tideline {

enum class Access { kReadOnly, kReadWrite };

// Owns a mapping and unmaps it. Move-only. Thread: map and unmap on one; the memory itself is
// whoever's the owner says.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept;
  Mapping& operator=(Mapping&& other) noexcept;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  // Maps `size` bytes of `fd` from `offset` (a multiple of the page size), shared. A multiple of
  // 2 MiB is placed at a multiple of 2 MiB, so that huge pages can serve it.
  static Result<Mapping> map(int fd, std::size_t size, Access access, std::uint64_t offset = 0);
  // `size` bytes of zeroed memory shared with children that are forked later.
  static Result<Mapping> anonymous_shared(std::size_t size);

  // Makes every page present now, for reading (and writing, if the mapping is writable), so that no
  // later access can raise SIGBUS for want of memory: a sealed file may still be sparse.
  // MADV_POPULATE_READ/WRITE.
  Status populate();
  // Asks for 2 MiB pages here and now, without a reserved pool (MADV_COLLAPSE); works on sealed
  // memfds, and mappings that others make of them profit. Returns whether the kernel had them;
  // normal pages serve otherwise. Before populate() it takes a tenth of the time: what is populated
  // already is copied. Only for writable mappings.
  bool try_collapse();

  explicit operator bool() const { return data_ != nullptr; }
  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::span<std::byte> bytes() const { return {data_, size_}; }
  // The object at `offset`. The caller has laid it out there.
  template <typename T>
  T* at(std::size_t offset) const {
    return reinterpret_cast<T*>(data_ + offset);
  }

 private:
  Mapping(std::byte* data, std::size_t size, Access access)
      : data_(data), size_(size), access_(access) {}

  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  Access access_ = Access::kReadOnly;
};

}  // namespace tideline
