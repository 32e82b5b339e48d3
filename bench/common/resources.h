// SPDX-License-Identifier: Apache-2.0
// What the calling process holds, as the kernel sees it: to find leaks, and to find what a hostile
// member could write. One thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace bench {

struct Resources {
  std::size_t descriptors = 0;  // open now
  std::size_t mappings = 0;     // lines of /proc/self/maps
  std::size_t shared_kib = 0;   // resident shared memory (RssShmem)

  friend bool operator==(const Resources&, const Resources&) = default;
};

Resources own_resources();

// All shared memfd mappings whose name contains `name` and that this process may write.
std::vector<std::span<std::byte>> writable_memfds(const std::string& name);

}  // namespace bench
