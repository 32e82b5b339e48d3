// SPDX-License-Identifier: Apache-2.0
// The one lock that owns an engine inside a program, and the hand-off to whoever holds it. A caller
// that finds the gate free runs the engine; one that does not leaves its work on the list. Any
// thread.
//
// One word says it all, so that nothing can be lost between "look at the list" and "unlock":
//
//   kOpen                 free          cmpxchg -> kOpen|kHeld           enter
//   kOpen|kHeld           held          fetch_or(kHeld|kWork)            submit: leaves work, and
//   kOpen|kHeld|kWork     work waits                                     holds the gate if it was
//                                       cmpxchg kOpen|kHeld -> kOpen     free by then
//                                       leave: fails if work waits
//   0                     closed: a forked child reads this, for the page is wiped on fork
//
// A submitter that finds the gate held has set kWork before the holder's cmpxchg, which then fails:
// the holder drains and tries again. So there is no check after the unlock, and no fence for it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "base/bits.h"
#include "ring/handoff_list.h"

namespace tideline::ring {

// Whether a gate is open, and if not, why.
enum class GateState : std::uint32_t {
  kForked = 0,  // the page was wiped: this process was forked off the engine's
  kStarting,
  kOpen,
  kPeerLost,
  kDescriptorsLost,
  kStopped,
};

enum class Entry {
  kRan,         // the caller ran the engine
  kBusy,        // another caller holds it (enter)
  kHandedOver,  // the holder will do the work (submit)
  kFull,        // no room for the work (submit): nothing was done
  kClosed,
};

// `Work` is a small value that execute() of the holder understands.
template <typename Work>
class Gate {
 public:
  void open() {
    state_.store(GateState::kOpen, std::memory_order_relaxed);
    word_.store(kOpen, std::memory_order_release);
  }

  // Refuses all later callers, for `reason`; a present holder finishes.
  void close(GateState reason) {
    state_.store(reason, std::memory_order_relaxed);
    word_.fetch_and(~kOpen, std::memory_order_acq_rel);
  }

  GateState state() const { return state_.load(std::memory_order_acquire); }
  bool held() const { return (word_.load(std::memory_order_acquire) & kHeld) != 0; }

  // Runs `holder.run()` if the gate is free. Holder: run() polls the engine; ready() tells whether
  // execute(Work) can do a piece of work now, or must wait for the peer to make room.
  template <typename Holder>
  Entry enter(Holder& holder) {
    if (!take()) return refusal();
    if (stalled_) drain(holder);
    holder.run();
    leave(holder);
    return Entry::kRan;
  }

  template <typename Holder>
  Entry submit(const Work& work, Holder& holder) {
    if (take()) {
      const bool ready = holder.ready();
      if (ready) holder.execute(work);
      leave(holder);
      return ready ? Entry::kRan : Entry::kFull;
    }
    if ((word_.load(std::memory_order_relaxed) & kOpen) == 0) return Entry::kClosed;
    if (!list_.push(work)) return Entry::kFull;
    const std::uint32_t before = word_.fetch_or(kHeld | kWork, std::memory_order_acq_rel);
    if ((before & kHeld) != 0) return Entry::kHandedOver;
    leave(holder);
    return Entry::kRan;
  }

 private:
  static constexpr std::uint32_t kOpen = 1;
  static constexpr std::uint32_t kHeld = 2;
  static constexpr std::uint32_t kWork = 4;

  bool take() {
    // Looks first: a failing cmpxchg would pull the line away from the holder.
    std::uint32_t word = word_.load(std::memory_order_relaxed);
    return word == kOpen &&
           word_.compare_exchange_strong(word, kOpen | kHeld, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }

  Entry refusal() const {
    const std::uint32_t word = word_.load(std::memory_order_relaxed);
    return (word & kOpen) == 0 ? Entry::kClosed : Entry::kBusy;
  }

  template <typename Holder>
  void leave(Holder& holder) {
    for (;;) {
      std::uint32_t word = word_.load(std::memory_order_relaxed);
      if ((word & kWork) == 0) {
        if (word_.compare_exchange_weak(word, word & ~kHeld, std::memory_order_release,
                                        std::memory_order_relaxed)) {
          return;
        }
        continue;
      }
      // Cleared before the list is read: work that is pushed from here on sets it again.
      word_.fetch_and(~kWork, std::memory_order_acq_rel);
      drain(holder);
    }
  }

  template <typename Holder>
  void drain(Holder& holder) {
    for (stalled_ = false; holder.ready();) {
      const std::optional<Work> work = list_.pop();
      if (!work) return;
      holder.execute(*work);
    }
    stalled_ = true;
  }

  alignas(kCacheLine) std::atomic<std::uint32_t> word_{0};
  std::atomic<GateState> state_{GateState::kStarting};
  bool stalled_ = false;  // work may wait on the list for room; the holder's
  HandoffList<Work> list_;
};

}  // namespace tideline::ring
