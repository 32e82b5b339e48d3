// SPDX-License-Identifier: Apache-2.0
// The proof's figures: what an inline poll costs, and how long a frame waits until somebody serves.
#pragma once

#include "common/cli.h"
#include "common/report.h"

namespace proofs::inline_engine {

void measure_costs(const bench::Options& options, bench::Report& report);
void measure_delays(const bench::Options& options, bench::Report& report);

}  // namespace proofs::inline_engine
