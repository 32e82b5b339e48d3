// SPDX-License-Identifier: Apache-2.0
// Members are killed at random instants and after any number of instructions, stopped, and turned
// hostile, thousands of times, while two bystanders exchange checked frames. What must hold
// becomes checks of the report.
#pragma once

#include <cstdint>

#include "common/report.h"

namespace proofs::segment {

struct TortureScale {
  unsigned random_kills = 0;
  // Members killed (some stopped before) in sending, and in receiving, after 0, 1, 2..
  // instructions.
  unsigned steps = 0;
  // The same in joining, spread over all of that much longer path.
  unsigned joins = 0;
  unsigned hostile_rounds = 0;
};

// Call it from a program with one thread.
void torture(bench::Report& report, const TortureScale& scale, std::uint64_t seed);

}  // namespace proofs::segment
