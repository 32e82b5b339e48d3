// SPDX-License-Identifier: Apache-2.0
// What the machine allows, measured in the same run as what is built on it. Each function forks and
// pins its own processes; call it from a program with one thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "common/latency.h"

namespace bench {

// Gb/s of memcpy between two buffers of `bytes` on one core.
double memcpy_rate(std::size_t bytes, tideline::Duration duration);

// Gb/s through a ring of 16 slots of `bytes` in shared memory: one process copies in, one copies
// out, a core each. The least that any stream of copied data costs.
double two_copy_pipe_rate(std::size_t bytes, tideline::Duration duration);

// One cache line there and back between the two cores, `count` times unless time runs out.
LatencySamples cache_line_round_trips(std::uint64_t count, tideline::Duration at_most);

}  // namespace bench
