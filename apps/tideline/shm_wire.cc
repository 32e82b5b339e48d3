// SPDX-License-Identifier: Apache-2.0
#include "shm_wire.h"

#include <fmt/format.h>

#include "base/bits.h"
#include "base/mapping.h"
#include "base/memfd.h"
#include "port/shm/meeting_point.h"

namespace tideline::app {
namespace {

Result<Mapping> try_memory(std::size_t size) {
  auto fd = create_memfd("tideline-probe", size, PageKind::kNormal);
  if (!fd) return fail(std::move(fd.error()));
  auto memory = Mapping::map(fd->get(), size, Access::kReadWrite);
  if (!memory) return memory;
  Status status = memory->populate();
  if (status) status = seal_memfd(fd->get(), Sharing::kReadOnly);
  if (!status) return fail(std::move(status.error()));
  return memory;
}

}  // namespace

std::string shm_lacks() {
  if (const auto memory = try_memory(kPageSize); !memory) return memory.error().message();
  const auto directory = port::shm::segment_directory("default");
  return directory ? "" : directory.error().message();
}

std::string shm_allows() {
  const auto directory = port::shm::segment_directory("default");
  auto memory = try_memory(kHugePageSize);
  const bool huge = memory && memory->try_collapse();
  return fmt::format("sealed memory on {}; members meet in {}",
                     huge ? "2 MiB pages (MADV_COLLAPSE)" : "4 KiB pages",
                     directory ? *directory : "no directory");
}

}  // namespace tideline::app
