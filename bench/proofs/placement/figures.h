// SPDX-License-Identifier: Apache-2.0
// The measurements of the proof. One thread, which forks.
#pragma once

#include "common/report.h"

namespace proofs::placement {

// The copy routine and its rivals in one thread: success, by size, and what a fault costs.
void measure_copies(bench::Report& report, bool quick);

// Round trips and throughput of every path against a bare copy, pinned and not.
void measure_paths(bench::Report& report, bool quick);

// What makes the helper run soon while the target spins on one core and the initiator waits on the
// other.
void measure_helper(bench::Report& report, bool quick);

// Which copies let a spinning target see the last byte before the others.
void measure_order(bench::Report& report, bool quick);

}  // namespace proofs::placement
