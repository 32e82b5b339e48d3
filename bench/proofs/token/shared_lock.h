// SPDX-License-Identifier: Apache-2.0
// A lock word in shared memory whose owner may die. It serialises the processes and threads that
// use one end of a FIFO, and guards indices that are consistent at every instant: so a lock whose
// owner has died is simply taken over. Held for one copy; contention is rare, so it spins and
// yields.
#pragma once

#include <sched.h>

#include "base/clock.h"
#include "proofs/token/layout.h"

namespace proofs::token {

// A process as the board knows it: never 0, never used twice.
struct Owner {
  std::uint64_t incarnation = 0;
  std::uint32_t process = 0;
  std::uint64_t word() const { return incarnation * kMaxProcesses + process; }
};

inline bool owner_lives(const Board& board, std::uint64_t word) {
  return board.alive[word % kMaxProcesses].load() == word / kMaxProcesses;
}

class SharedLock {
 public:
  SharedLock(std::atomic<std::uint64_t>& word, const Owner& me, const Board& board) : word_(word) {
    std::uint64_t seen = 0;
    for (unsigned tries = 1; !word_.compare_exchange_weak(seen, me.word()); ++tries) {
      if (tries % 64 != 0) {
        tideline::cpu_relax();
        seen = 0;
        continue;
      }
      ::sched_yield();
      // A dead owner's word is replaced, and nothing else: whoever else takes it over first wins.
      if (seen != 0 && owner_lives(board, seen)) seen = 0;
    }
  }
  ~SharedLock() { word_.store(0, std::memory_order_release); }
  SharedLock(const SharedLock&) = delete;
  SharedLock& operator=(const SharedLock&) = delete;

 private:
  std::atomic<std::uint64_t>& word_;
};

}  // namespace proofs::token
