// SPDX-License-Identifier: Apache-2.0
#include "common/resources.h"

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace bench {

Resources own_resources() {
  Resources resources;
  const std::filesystem::directory_iterator all("/proc/self/fd");
  // Less the descriptor of this very iteration.
  resources.descriptors = static_cast<std::size_t>(std::distance(begin(all), end(all))) - 1;
  std::string line;
  for (std::ifstream maps("/proc/self/maps"); std::getline(maps, line);) ++resources.mappings;
  for (std::ifstream status("/proc/self/status"); std::getline(status, line);) {
    if (line.starts_with("RssShmem:")) resources.shared_kib = std::stoul(line.substr(9));
  }
  return resources;
}

std::vector<std::span<std::byte>> writable_memfds(const std::string& name) {
  std::vector<std::span<std::byte>> found;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    // "begin-end rw-s offset device inode /memfd:name (deleted)"
    if (line.find(" rw-s ") == std::string::npos) continue;
    const std::size_t at = line.find("/memfd:");
    if (at == std::string::npos || line.find(name, at) == std::string::npos) continue;
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    const char* last = line.data() + line.size();
    const auto parsed = std::from_chars(line.data(), last, begin, 16);
    std::from_chars(parsed.ptr + 1, last, end, 16);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address that the kernel printed
    found.emplace_back(reinterpret_cast<std::byte*>(begin), end - begin);
  }
  return found;
}

}  // namespace bench
