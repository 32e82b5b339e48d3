// SPDX-License-Identifier: Apache-2.0
#include "proofs/inline_engine/private_table.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

namespace proofs::inline_engine {

tideline::Status enter_private_table() {
  // The raw call: the preload library intercepts the other, for the program's table.
  if (::syscall(SYS_close_range, 0U, ~0U, CLOSE_RANGE_UNSHARE) != 0) {
    return tideline::fail_errno("cannot separate the helper's descriptors from the program's");
  }
  for (int fd = 0; fd <= 2; ++fd) {
    if (::open("/dev/null", O_RDWR) != fd) return tideline::fail_errno("cannot open /dev/null");
  }
  return {};
}

tideline::Result<tideline::UniqueFd> fetch_from_thread(pid_t tid, int fd) {
  const tideline::UniqueFd thread(static_cast<int>(::syscall(SYS_pidfd_open, tid, PIDFD_THREAD)));
  if (!thread) return tideline::fail_errno("cannot open the helper thread (PIDFD_THREAD)");
  tideline::UniqueFd fetched(static_cast<int>(::syscall(SYS_pidfd_getfd, thread.get(), fd, 0)));
  if (!fetched) return tideline::fail_errno("cannot fetch a descriptor from the helper thread");
  return fetched;
}

}  // namespace proofs::inline_engine
