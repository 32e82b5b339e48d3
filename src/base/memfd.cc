// SPDX-License-Identifier: Apache-2.0
#include "base/memfd.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

namespace tideline {
namespace {

int seals_for(Sharing sharing) {
  const int size_seals = F_SEAL_SHRINK | F_SEAL_GROW;
  return sharing == Sharing::kReadOnly ? size_seals | F_SEAL_FUTURE_WRITE : size_seals;
}

}  // namespace

Result<UniqueFd> create_memfd(const char* name, std::size_t size, PageKind pages) {
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  if (pages == PageKind::kHuge) flags |= MFD_HUGETLB | MFD_HUGE_2MB;
  UniqueFd fd(::memfd_create(name, flags));
  if (!fd) return fail_errno(fmt::format("cannot create the shared memory '{}'", name));
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0) {
    return fail_errno(fmt::format("cannot size the shared memory '{}' to {} bytes", name, size));
  }
  return fd;
}

Status seal_memfd(int fd, Sharing sharing) {
  if (::fcntl(fd, F_ADD_SEALS, seals_for(sharing) | F_SEAL_SEAL) != 0) {
    return fail_errno("cannot seal shared memory");
  }
  return {};
}

Status verify_memfd(int fd, std::size_t size, Sharing sharing) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0) {
    return fail({.kind = ErrorKind::kPeer, .what = "the peer's descriptor is not a memfd"});
  }
  if ((seals & seals_for(sharing)) != seals_for(sharing)) {
    return fail({.kind = ErrorKind::kPeer,
                 .what = fmt::format("the peer's memory lacks seals: has {:#x}, needs {:#x}", seals,
                                     seals_for(sharing))});
  }
  struct stat status{};
  if (::fstat(fd, &status) != 0) return fail_errno("cannot read the size of the peer's memory");
  if (status.st_size < 0 || static_cast<std::size_t>(status.st_size) != size) {
    return fail({.kind = ErrorKind::kPeer,
                 .what = fmt::format("the peer's memory has {} bytes, its layout says {}",
                                     status.st_size, size)});
  }
  return {};
}

}  // namespace tideline
