// SPDX-License-Identifier: Apache-2.0
// What a side of a run has spent so far. Any thread.
#pragma once

#include <cstdint>

namespace tideline::app::blast {

struct Effort {
  std::uint64_t cpu_ns = 0;
  std::uint64_t passed = 0;   // bytes that code of ours traversed
  std::uint64_t copied = 0;   // bytes that the kernel copied
  std::uint64_t dropped = 0;  // frames that its own port dropped

  Effort operator-(const Effort& before) const {
    return {.cpu_ns = cpu_ns - before.cpu_ns,
            .passed = passed - before.passed,
            .copied = copied - before.copied,
            .dropped = dropped - before.dropped};
  }
};

// Processor time of this process, the kernel's on its behalf included.
std::uint64_t process_cpu_ns();

}  // namespace tideline::app::blast
