// SPDX-License-Identifier: Apache-2.0
// Hand-overs by the thousand million, with sleeps at every point of the wait: is a wake-up ever
// lost?
#pragma once

#include <cstdint>

#include "base/error.h"

namespace proofs::waiting {

struct HandoverOutcome {
  std::uint64_t handed_over = 0;  // items that arrived, in order
  std::uint64_t slept = 0;        // waits that slept, of both sides
  std::uint64_t lost = 0;         // sleeps with work there for which no bell came
  bool in_order = false;
  double seconds = 0;
};

enum class Fences {
  kInPlace,
  kRemoved,  // the control: what the proof must be able to see
};

struct HandoverPlan {
  std::uint64_t items = 0;   // at least
  std::uint64_t sleeps = 0;  // at least
  std::uint64_t seed = 1;
  Fences fences = Fences::kInPlace;
  bool stop_at_first_loss = false;
};

// Two processes on a core each hand over items in a stream, and now and then one alone: the
// producer waits until the consumer has taken everything and is about to sleep, gives it one item,
// and then waits again, so that no later item rescues a wake-up that was lost.
tideline::Result<HandoverOutcome> hand_over(const HandoverPlan& plan);

}  // namespace proofs::waiting
