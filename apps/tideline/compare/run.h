// SPDX-License-Identifier: Apache-2.0
// What one run of a workload did and cost. No I/O.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "compare/reading.h"
#include "compare/workload.h"

namespace tideline::app::compare {

// What processes have used, as the kernel counts it. System time has in it what the kernel does for
// them in their context, interrupts of software included.
struct Usage {
  double user_s = 0;
  double system_s = 0;
  double wake_ups = 0;  // voluntary context switches: each is a sleep that has ended

  Usage& operator+=(const Usage& other);
  Usage operator-(const Usage& other) const;
  double cpu_s() const { return user_s + system_s; }
};

struct Run {
  std::string failure;  // empty if it worked
  Reading reading;
  // While the client lived. The engine's is that of daemons; in placement `app` it is in the
  // programs'.
  Usage programs;
  Usage engine;
  double softirqd_s = 0;
  double others_share = 0;  // of all cores, used by nobody of ours
  std::optional<double> passed_bytes;
  std::optional<std::uint64_t> syscalls;

  double units() const { return reading.bytes > 0 ? reading.bytes : reading.requests; }
  double value(Figure figure) const;
};

}  // namespace tideline::app::compare
