// SPDX-License-Identifier: Apache-2.0
// Copies between this process and another, made by the kernel: process_vm_readv(2). Thread: any.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>

#include "rdma/direct_path.h"

namespace tideline::placement {

// All of the pieces, in order; false if any byte could not be copied, on either side, or the kernel
// does not permit it. The last byte of a write becomes visible last.
bool write_process(pid_t pid, std::uint64_t address, std::span<const rdma::DirectPiece> pieces);
bool read_process(pid_t pid, std::uint64_t address, std::span<const rdma::DirectPiece> pieces);

}  // namespace tideline::placement
