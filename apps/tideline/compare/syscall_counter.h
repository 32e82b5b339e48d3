// SPDX-License-Identifier: Apache-2.0
// Counts the system calls of processes, by the kernel's tracepoint raw_syscalls:sys_enter. Counting
// slows system calls down, so runs with it give no other figure.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace tideline::app::compare {

class SyscallCounter {
 public:
  // Why this machine does not let us count; empty if it does.
  static Status available();
  // From now on, of all threads that the process has, and of what they start.
  Status add(pid_t pid);
  std::uint64_t count() const;

 private:
  std::vector<UniqueFd> events_;
};

}  // namespace tideline::app::compare
