// SPDX-License-Identifier: Apache-2.0
// The memory that rings and wake flags are written against. Code takes the policy as a template
// parameter, so that the model test (model/explorer.h) runs the very same code under every
// interleaving.
#pragma once

#include <atomic>

namespace tideline::ring {

struct StdMemory {
  template <typename T>
  using Atomic = std::atomic<T>;

  // Memory that indices guard: not atomic, and never touched by two threads at once.
  template <typename T>
  class Plain {
   public:
    const T& load() const { return value_; }
    void store(const T& value) { value_ = value; }

   private:
    T value_;
  };

  // Orders every earlier store before every later load: the one order that x86 does not give by
  // itself.
  static void full_fence() { std::atomic_thread_fence(std::memory_order_seq_cst); }
};

}  // namespace tideline::ring
