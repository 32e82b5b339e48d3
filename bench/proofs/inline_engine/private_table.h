// SPDX-License-Identifier: Apache-2.0
// A descriptor table of one thread's own: no call of any other thread of the process reaches it,
// not even a raw system call, and fork does not copy it. When the process ends, in whatever way,
// the table's files close with it. See close_range(2), CLOSE_RANGE_UNSHARE; pidfd_getfd(2).
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "base/fd.h"

namespace proofs::inline_engine {

// Gives the calling thread a table of its own that holds /dev/null on 0 to 2 and nothing else: the
// files of the program must not stay open because of it.
tideline::Status enter_private_table();

// A duplicate, in the caller's table, of descriptor `fd` of thread `tid` of this process.
// Linux 6.9.
tideline::Result<tideline::UniqueFd> fetch_from_thread(pid_t tid, int fd);

}  // namespace proofs::inline_engine
