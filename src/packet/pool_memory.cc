// SPDX-License-Identifier: Apache-2.0
#include "packet/pool_memory.h"

#include <utility>

#include "base/bits.h"
#include "base/memfd.h"

namespace tideline::packet {
namespace {

Result<PoolMemory> create_on(const char* name, std::size_t size, PageKind kind, bool collapse) {
  PoolMemory memory;
  auto fd = create_memfd(name, size, kind);
  if (!fd) return fail(std::move(fd.error()));
  memory.fd = std::move(*fd);
  auto mapping = Mapping::map(memory.fd.get(), size, Access::kReadWrite);
  if (!mapping) return fail(std::move(mapping.error()));
  memory.mapping = std::move(*mapping);
  if (collapse && memory.mapping.try_collapse()) memory.pages = Pages::kCollapsed;
  // Now, not at the first packet; and where pages are short, an error instead of a SIGBUS.
  if (auto status = memory.mapping.populate(); !status) return fail(std::move(status.error()));
  if (auto status = seal_memfd(memory.fd.get(), Sharing::kReadOnly); !status) {
    return fail(std::move(status.error()));
  }
  return memory;
}

}  // namespace

Result<PoolMemory> PoolMemory::create(const char* name, std::size_t size, bool huge_pages) {
  // A small pool would waste most of a huge page.
  if (!huge_pages || size < kHugePageSize) {
    return create_on(name, align_up(size, kPageSize), PageKind::kNormal, false);
  }
  const std::size_t whole = align_up(size, kHugePageSize);
  if (auto reserved = create_on(name, whole, PageKind::kHuge, false)) {
    reserved->pages = Pages::kReserved;
    return reserved;
  }
  return create_on(name, whole, PageKind::kNormal, true);
}

}  // namespace tideline::packet
