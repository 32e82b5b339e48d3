// SPDX-License-Identifier: Apache-2.0
#include "rdma/memory_access.h"

#include "base/guarded_copy.h"

namespace tideline::rdma {
namespace {

// NOLINTNEXTLINE(performance-no-int-to-ptr): an address that a program has named
void* pointer(std::uint64_t address) { return reinterpret_cast<void*>(address); }

std::optional<std::uint64_t> former(const AtomicResult& result) {
  if (result.done == 0) return std::nullopt;
  return result.former;
}

}  // namespace

bool GuardedMemory::load(std::uint64_t address, std::span<std::byte> to) {
  return guarded_copy(to.data(), pointer(address), to.size()).copied == to.size();
}

bool GuardedMemory::store(std::uint64_t address, std::span<const std::byte> from) {
  return guarded_copy(pointer(address), from.data(), from.size()).copied == from.size();
}

std::optional<std::uint64_t> GuardedMemory::compare_swap(std::uint64_t address,
                                                         std::uint64_t compare,
                                                         std::uint64_t swap) {
  return former(tideline_compare_swap(pointer(address), compare, swap));
}

std::optional<std::uint64_t> GuardedMemory::fetch_add(std::uint64_t address, std::uint64_t add) {
  return former(tideline_fetch_add(pointer(address), add));
}

}  // namespace tideline::rdma
