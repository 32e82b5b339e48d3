// SPDX-License-Identifier: Apache-2.0
// The smallest engine that has what matters here: it takes frames from an input ring, answers them
// in an output ring, and runs one periodic timer. Whoever holds the gate calls it; time comes in as
// TSC ticks.
#pragma once

#include <cstdint>

#include "proofs/inline_engine/channel.h"

namespace proofs::inline_engine {

inline constexpr int kBurst = 32;

// A call of the program that did not get the engine: sends one message to the peer.
struct Work {
  std::uint64_t id = 0;
};

class Engine {
 public:
  // `timer_period` in ticks; 0: no timer.
  Engine(Channel& channel, std::uint64_t timer_period)
      : in_(channel.engine_ring()), out_(channel.peer_ring()), timer_period_(timer_period) {}

  bool has_work(std::uint64_t now) { return !in_.empty() || now >= deadline_; }
  // One pass: a burst of frames, as far as there is room for the answers, and the timer. Returns
  // whether anything was done.
  bool run(std::uint64_t now, Server server);

  // Whether there is room for a message of the program, and sending it.
  bool ready() { return !out_.full(); }
  void execute(const Work& work, std::uint64_t now, Server server);

  // When run() must be called next, even without frames.
  std::uint64_t next_deadline() const { return deadline_; }
  std::uint64_t timer_fires() const { return timer_fires_; }

 private:
  FrameConsumer in_;
  FrameProducer out_;
  std::uint64_t timer_period_;
  std::uint64_t deadline_ = UINT64_MAX;
  std::uint64_t timer_fires_ = 0;
};

}  // namespace proofs::inline_engine
