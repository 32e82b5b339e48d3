// SPDX-License-Identifier: Apache-2.0
// What the parts of a wait cost on this machine: the limits that its latencies are held against.
#pragma once

#include "base/error.h"
#include "common/report.h"

namespace proofs::waiting {

// A cache line there and back between cores 0 and 1, two processes, median in nanoseconds.
tideline::Result<double> cache_line_round_trip_ns();

// Adds the cost of every part to `report`.
tideline::Status measure_primitives(bench::Report& report, bool quick);

}  // namespace proofs::waiting
