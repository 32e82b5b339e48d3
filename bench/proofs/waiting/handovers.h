// SPDX-License-Identifier: Apache-2.0
// Hand-overs by the thousand million, with sleeps on both sides at random moments: is a wake-up
// ever lost?
#pragma once

#include <cstdint>

#include "base/error.h"

namespace proofs::waiting {

struct HandoverOutcome {
  std::uint64_t handed_over = 0;  // items that arrived, in order
  std::uint64_t slept = 0;        // waits that slept, of both sides
  std::uint64_t lost = 0;         // sleeps that only the watchdog ended, with work there
  bool in_order = false;
  double seconds = 0;
};

// Two processes hand over `items`, in bursts with random pauses; at least `sleeps` waits sleep.
tideline::Result<HandoverOutcome> hand_over(std::uint64_t items, std::uint64_t sleeps,
                                            std::uint64_t seed);

}  // namespace proofs::waiting
