// SPDX-License-Identifier: Apache-2.0
// What a connection knows of its path's MTU while it searches (mtu_probe.h). Data only. Thread: the
// worker's.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "tcp/seq.h"

namespace tideline::tcp {

// Sizes are those of IP packets.
struct MtuSearch {
  // RFC 4821 §7.1: search_low, which is eff_pmtu too, and search_high. The search is over when they
  // are equal.
  std::uint16_t low = 0;
  std::uint16_t high = 0;
  bool high_is_open = true;   // nothing says that `high` is too much: it is the first to be tried
  bool is_repairing = false;  // a probe was lost, and its bytes are not acknowledged yet
  std::uint8_t losses = 0;    // of probes of the present size: PROBE_COUNT of RFC 8899 §5.1.3
  std::uint16_t size = 0;     // of the probe in flight; 0: there is none
  Seq begin;                  // of the last probe
  Seq end;
  Instant not_before{};      // the next probe
  Instant raise_at{};        // when the search is over, it begins again: PMTU_RAISE_TIMER
  std::uint32_t probes = 0;  // sent
  std::uint32_t lost = 0;    // of those
};

}  // namespace tideline::tcp
