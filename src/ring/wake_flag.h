// SPDX-License-Identifier: Apache-2.0
// `need_wakeup`: one side says that it is about to sleep, the other rings a bell only then.
//
//   waiter                                notifier
//   ------                                --------
//   arm():   sequence := odd              publish the work (a release store)
//            full fence                   should_ring(): full fence
//   look for work once more                              read the sequence
//   none: sleep until the bell                           odd, and not rung for yet: ring the bell
//   disarm(): sequence := even
//
// Either the waiter's last look sees the work, or the notifier sees the odd sequence: with a fence
// between store and load on both sides, both cannot miss (Dekker). wake_model_test.cc runs this
// code under every interleaving.
//
// Only the waiter writes the flag, so that notifiers may map it read-only. The sequence tells a
// notifier one sleep from the next, so that it rings once per sleep however much it publishes in
// the meantime.
#pragma once

#include <cstdint>

#include "base/bits.h"
#include "ring/memory.h"

namespace tideline::ring {

template <typename Memory = StdMemory>
class alignas(kCacheLine) BasicWakeFlag {
 public:
  // Waiter: from here on a notifier rings. The waiter must look for work once more before it
  // sleeps.
  void arm() {
    sequence_.store(sequence_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    Memory::full_fence();
  }

  // Waiter: awake again, for whatever reason.
  void disarm() {
    sequence_.store(sequence_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  // Notifier: the sequence now; odd while the waiter sleeps or is about to.
  std::uint64_t sequence() const { return sequence_.load(std::memory_order_relaxed); }

 private:
  typename Memory::template Atomic<std::uint64_t> sequence_{0};
};

using WakeFlag = BasicWakeFlag<>;

// The notifier's side of one flag, in its private memory. One thread.
template <typename Memory = StdMemory>
class BasicNotifier {
 public:
  explicit BasicNotifier(const BasicWakeFlag<Memory>& flag) : flag_(&flag) {}

  // To be asked after work was published: whether the bell must be rung now.
  bool should_ring() {
    Memory::full_fence();
    const std::uint64_t sequence = flag_->sequence();
    if (sequence % 2 == 0 || sequence == rung_for_) return false;
    rung_for_ = sequence;
    return true;
  }

 private:
  const BasicWakeFlag<Memory>* flag_;
  std::uint64_t rung_for_ = 0;  // even: none yet
};

using Notifier = BasicNotifier<>;

}  // namespace tideline::ring
