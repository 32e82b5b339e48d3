// SPDX-License-Identifier: Apache-2.0
#include "proofs/inline_engine/engine.h"

namespace proofs::inline_engine {

void Engine::execute(const Work& work, std::uint64_t now, Server server) {
  out_.push({.id = work.id, .sent_tsc = now, .served_tsc = now, .server = server});
}

bool Engine::run(std::uint64_t now, Server server) {
  bool worked = false;
  for (int i = 0; i < kBurst && !in_.empty() && !out_.full(); ++i) {
    Frame frame;
    in_.pop(frame);
    frame.served_tsc = now;
    frame.server = server;
    out_.push(frame);
    worked = true;
  }
  // The timer starts with the first frame, as a connection's does.
  if (deadline_ == UINT64_MAX && worked && timer_period_ != 0) deadline_ = now + timer_period_;
  if (now >= deadline_) {
    deadline_ = now + timer_period_;
    ++timer_fires_;
    worked = true;
  }
  return worked;
}

}  // namespace proofs::inline_engine
