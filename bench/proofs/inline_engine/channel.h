// SPDX-License-Identifier: Apache-2.0
// What an engine and its peer share: a ring of frames in each direction and a need_wakeup flag for
// each side. Producer and consumer of a ring are one thread at a time each; on the engine's side
// the holder of the gate (gate.h) is both.
//
//   peer --to_engine--> engine --to_peer--> peer
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/bits.h"

namespace proofs::inline_engine {

inline constexpr std::uint32_t kRingSlots = 1024;

// Who ran the engine when it answered.
enum class Server : std::uint32_t { kNobody, kProgram, kHelper };

struct Frame {
  std::uint64_t id = 0;
  std::uint64_t sent_tsc = 0;
  std::uint64_t served_tsc = 0;  // in answers
  Server server = Server::kNobody;
};

struct alignas(tideline::kCacheLine) Slot {
  // The position whose turn it is: p while the slot waits for frame p, p + 1 once that is written.
  std::atomic<std::uint64_t> turn;
  Frame frame;
};

using RingMemory = std::array<Slot, kRingSlots>;

struct Channel {
  RingMemory to_engine;
  RingMemory to_peer;
  alignas(tideline::kCacheLine) std::atomic<std::uint32_t> engine_needs_wakeup;
  alignas(tideline::kCacheLine) std::atomic<std::uint32_t> peer_needs_wakeup;
};

// Zeroed memory becomes an empty channel.
inline void format(Channel& channel) {
  for (std::uint32_t i = 0; i < kRingSlots; ++i) {
    channel.to_engine[i].turn.store(i, std::memory_order_relaxed);
    channel.to_peer[i].turn.store(i, std::memory_order_relaxed);
  }
}

// One end of a ring. The position is private, so the other side can spoil frames but never where
// this side reads or writes.
class Producer {
 public:
  explicit Producer(RingMemory& ring) : ring_(&ring) {}

  bool full() const { return slot().turn.load(std::memory_order_acquire) != position_; }
  // The caller has seen that the ring is not full.
  void push(const Frame& frame) {
    slot().frame = frame;
    slot().turn.store(position_ + 1, std::memory_order_release);
    ++position_;
  }

 private:
  Slot& slot() const { return (*ring_)[position_ % kRingSlots]; }

  RingMemory* ring_;
  std::uint64_t position_ = 0;
};

class Consumer {
 public:
  explicit Consumer(RingMemory& ring) : ring_(&ring) {}

  bool empty() const { return slot().turn.load(std::memory_order_acquire) != position_ + 1; }
  // The caller has seen that the ring is not empty.
  Frame pop() {
    const Frame frame = slot().frame;
    slot().turn.store(position_ + kRingSlots, std::memory_order_release);
    ++position_;
    return frame;
  }

 private:
  Slot& slot() const { return (*ring_)[position_ % kRingSlots]; }

  RingMemory* ring_;
  std::uint64_t position_ = 0;
};

// The sleeper's half: announces the sleep; the sleeper looks again at its rings before it sleeps.
inline void arm(std::atomic<std::uint32_t>& need_wakeup) {
  need_wakeup.store(1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

// The producer's half, after its frame is visible: whether it must ring. Of many frames, and of
// many producers, one rings.
inline bool must_ring(std::atomic<std::uint32_t>& need_wakeup) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (need_wakeup.load(std::memory_order_relaxed) == 0) return false;
  return need_wakeup.exchange(0, std::memory_order_acq_rel) != 0;
}

}  // namespace proofs::inline_engine
