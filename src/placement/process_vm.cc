// SPDX-License-Identifier: Apache-2.0
#include "placement/process_vm.h"

#include <sys/uio.h>

#include <array>
#include <cstddef>

#include "base/check.h"
#include "rdma/types.h"

namespace tideline::placement {
namespace {

// NOLINTNEXTLINE(performance-no-int-to-ptr): addresses that programs have named
void* named_pointer(std::uint64_t address) { return reinterpret_cast<void*>(address); }

struct Vector {
  std::array<iovec, rdma::kMaxSge> pieces;
  std::size_t size = 0;  // bytes

  explicit Vector(std::span<const rdma::DirectPiece> from) {
    CHECK(from.size() <= pieces.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      pieces[i] = {named_pointer(from[i].address), from[i].length};
      size += from[i].length;
    }
  }
};

}  // namespace

// The kernel copies an element's part of a page by one string instruction, whose stores have no
// order: so the last byte is an element of its own.
bool write_process(pid_t pid, std::uint64_t address, std::span<const rdma::DirectPiece> pieces) {
  const Vector local(pieces);
  const std::size_t alone = local.size > 1 ? 1 : 0;
  const std::array<iovec, 2> remote{{{named_pointer(address), local.size - alone},
                                     {named_pointer(address + local.size - alone), alone}}};
  return ::process_vm_writev(pid, local.pieces.data(), pieces.size(), remote.data(), 1 + alone,
                             0) == static_cast<ssize_t>(local.size);
}

bool read_process(pid_t pid, std::uint64_t address, std::span<const rdma::DirectPiece> pieces) {
  const Vector local(pieces);
  const iovec remote{named_pointer(address), local.size};
  return ::process_vm_readv(pid, local.pieces.data(), pieces.size(), &remote, 1, 0) ==
         static_cast<ssize_t>(local.size);
}

}  // namespace tideline::placement
