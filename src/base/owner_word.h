// SPDX-License-Identifier: Apache-2.0
// A word in shared memory that tells other processes whether a thread still lives, without a system
// call: a robust mutex that the thread holds. The kernel marks it when the thread ends, however it
// ends, and when its process calls exec, before the address space is replaced. get_robust_list(2).
#pragma once

#include <pthread.h>

namespace tideline {

class OwnerWord {
 public:
  // By the owner, in memory that it may write; release() on the same thread before the memory goes.
  void take();
  void release();

  // By anyone, in memory that may be read-only.
  bool owner_lives() const;

 private:
  pthread_mutex_t mutex_;
};

}  // namespace tideline
