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
  unsigned steps = 0;        // members killed or stopped, per path: after 0, 1, 2.. instructions
  unsigned join_stride = 1;  // the same in the long path of joining: instructions from one to next
  unsigned hostile_rounds = 0;
};

// Call it from a program with one thread.
void torture(bench::Report& report, const TortureScale& scale, std::uint64_t seed);

}  // namespace proofs::segment
