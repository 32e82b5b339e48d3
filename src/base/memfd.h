// SPDX-License-Identifier: Apache-2.0
// Memory that other processes may map: memfds, sealed so that neither side can pull it from under
// the other.
//
// Life of a shared region:  create_memfd -> Mapping::map (writable) -> seal_memfd -> pass the
// descriptor
//                           receive it -> verify_memfd -> Mapping::map (read-only) -> populate
// See memfd_create(2), fcntl(2) F_ADD_SEALS. Thread: any.
#pragma once

#include <cstddef>

#include "base/error.h"
#include "base/fd.h"

namespace tideline {

enum class PageKind {
  kNormal,  // 4 KiB
  kHuge,    // 2 MiB from the reserved pool (MFD_HUGETLB); the size must be a multiple of 2 MiB
};

// Who may write to a region besides its owner.
enum class Sharing {
  kReadOnly,   // F_SEAL_FUTURE_WRITE: mappings and writes made after the seal are refused
  kReadWrite,  // only the size is sealed
};

// A memfd of `size` bytes (a multiple of the page size), close-on-exec. `name` shows in
// /proc/PID/maps.
Result<UniqueFd> create_memfd(const char* name, std::size_t size, PageKind pages);

// Seals the size for good, further seals, and with kReadOnly further writing. The owner's writable
// mapping, made before, stays.
Status seal_memfd(int fd, Sharing sharing);

// Checks a descriptor that somebody else sent: a memfd of exactly `size` bytes whose size is
// sealed, and its writing too if `sharing` is kReadOnly. Pages may still be missing: see
// Mapping::populate.
Status verify_memfd(int fd, std::size_t size, Sharing sharing);

}  // namespace tideline
