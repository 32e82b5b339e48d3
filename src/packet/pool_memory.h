// SPDX-License-Identifier: Apache-2.0
// The memory of a pool's buffers: a memfd, so that a NIC or another process can map it, populated
// at start, on huge pages where there are any. Thread: any.
#pragma once

#include <cstddef>

#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"

namespace tideline::packet {

enum class Pages {
  kNormal,
  kCollapsed,  // 2 MiB pages that the kernel put together (MADV_COLLAPSE)
  kReserved,   // 2 MiB pages of the reserved pool (hugetlb)
};

struct PoolMemory {
  UniqueFd fd;  // its size is sealed; others may map it for reading only
  Mapping mapping;
  Pages pages = Pages::kNormal;

  // At least `size` bytes. With `huge_pages`, 2 MiB and more are served by 2 MiB pages: reserved
  // ones, else collapsed ones, else normal pages.
  static Result<PoolMemory> create(const char* name, std::size_t size, bool huge_pages);
};

}  // namespace tideline::packet
