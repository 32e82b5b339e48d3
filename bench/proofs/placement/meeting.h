// SPDX-License-Identifier: Apache-2.0
// A forked target that runs a body of its own, for the hazards and tests: the body prepares regions
// and writes on the board what the initiator must know.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>

#include "base/mapping.h"
#include "common/process.h"
#include "proofs/placement/session.h"

namespace proofs::placement {

struct Board {
  std::atomic<std::uint32_t> step;  // of the target
  std::atomic<bool> stop;
  std::array<std::atomic<std::uint64_t>, 32> values;

  void wait_for_step(std::uint32_t wanted) const;
};

class Meeting {
 public:
  // `prepare` runs in the target before it accepts, `body` after; the target exits with what body
  // returns. `became` runs in both processes between fork and connection (true: the target).
  using Prepare = std::function<void(Target&, Board&)>;
  using Body = std::function<int(Target&, Board&)>;
  using Become = std::function<void(bool is_target)>;
  Meeting(const Prepare& prepare, const Body& body, const Become& become = {});

  Board& board() { return *board_.at<Board>(0); }
  Initiator& initiator() { return *initiator_; }
  bench::Child& child() { return *child_; }

  // Asks the body to end, and tells whether it returned 0.
  bool stop();

 private:
  tideline::Mapping board_;
  std::unique_ptr<bench::Child> child_;
  std::unique_ptr<Initiator> initiator_;
};

// A body that waits for the end.
int wait_for_stop(Target& target, Board& board);

}  // namespace proofs::placement
