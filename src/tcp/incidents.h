// SPDX-License-Identifier: Apache-2.0
// Figures that most connections never add to: of losses, disorder, waiting. They lie beside the
// TCB, from the first such event on: incidents_of() (core.h). Internal to the room. Thread: the
// worker's.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace tideline::tcp {

struct Incidents {
  std::uint64_t bytes_retransmitted = 0;
  std::uint64_t bytes_bypassed = 0;  // of those sent: bypass.h
  Duration window_limited{};         // before the present activity
  Duration buffer_limited{};
  Duration timed_out{};     // from the first time-out of a row to what ended it, of rows that ended
  Instant timeout_since{};  // of a row that has not; zero: there is none
  std::uint32_t segments_retransmitted = 0;  // SYNs too
  std::uint32_t timeouts = 0;
  std::uint32_t timeout_rows = 0;
  std::uint32_t recoveries = 0;
  std::uint32_t undone = 0;  // of them
  std::uint32_t reorderings = 0;
  std::uint32_t duplicates = 0;    // segments of ours that came twice, as DSACKs say
  std::uint32_t out_of_order = 0;  // segments that came
  std::uint32_t marked = 0;        // segments of ours, as classic ECN tells it
};

}  // namespace tideline::tcp
