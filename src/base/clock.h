// SPDX-License-Identifier: Apache-2.0
// The clocks. Only the wait in ring/, engine/, apps/ and benchmarks include this header; protocol
// code is given an Instant. Thread: any.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace tideline {

// CLOCK_MONOTONIC; about 25 ns.
Instant monotonic_now();

// The processor's time stamp counter: about 10 ns on a virtual machine, constant rate, the same on
// all cores (constant_tsc and nonstop_tsc). Unit: ticks.
inline std::uint64_t tsc_now() { return __builtin_ia32_rdtsc(); }

// Ticks of tsc_now() per second: measured against CLOCK_MONOTONIC once, at first use (1 ms).
double tsc_hz();

// Conversions between ticks and time; the first call measures tsc_hz().
std::uint64_t tsc_ticks(Duration duration);
Duration tsc_duration(std::uint64_t ticks);

// Tells the processor that this is a spin loop (PAUSE).
inline void cpu_relax() { __builtin_ia32_pause(); }

}  // namespace tideline
