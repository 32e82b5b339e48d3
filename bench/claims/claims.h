// SPDX-License-Identifier: Apache-2.0
// What the documents that tideline follows claim, put to the test with its own code, in virtual
// time: docs/claims.md. The same seed gives the same figures on any machine. One thread.
#pragma once

#include <cstdint>

#include "common/report.h"

namespace tideline::bench_claims {

struct Run {
  bench::Report& report;
  std::uint64_t seed;
  bool quick;

  std::uint64_t times(std::uint64_t full) const { return quick ? full / 10 : full; }
};

// Ten fragments of a datagram, or ten segments, where packets are lost.
void fragments(Run& run);
// Bursts and pacing, at a bottleneck with a short queue.
void pacing(Run& run);
// A message by TCP and by RDMA, as the round trip grows.
void distance(Run& run);

}  // namespace tideline::bench_claims
