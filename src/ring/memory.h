// SPDX-License-Identifier: Apache-2.0
// The atomics that rings and wake flags are written against. Code takes the policy as a template
// parameter, so that the model test (model/explorer.h) runs the very same code under every
// interleaving.
#pragma once

#include <atomic>

namespace tideline::ring {

struct StdMemory {
  template <typename T>
  using Atomic = std::atomic<T>;

  // Orders every earlier store before every later load: the one order that x86 does not give by
  // itself.
  static void full_fence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
};

}  // namespace tideline::ring
