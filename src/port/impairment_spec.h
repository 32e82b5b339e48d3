// SPDX-License-Identifier: Apache-2.0
// The notation of `--impair`: `loss=1%,delay=25ms,jitter=2ms,reorder=0.5%,late=5%,lateness=10ms,
// dup=0.1%,corrupt=0.01%,rate=1Gbit,queue=50ms,police=100Mbit,burst=64kB,mtu=1400`, every part
// optional.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "base/time.h"

namespace tideline::port {

struct ImpairmentSpec {
  double loss = 0;     // probability, each frame by itself
  double reorder = 0;  // probability that a frame skips the delay and overtakes those that wait
  double late = 0;     // probability that a frame waits longer, and those behind it overtake it
  double dup = 0;
  double corrupt = 0;  // probability that one bit of the frame is flipped
  Duration delay{};
  Duration jitter{};              // the delay varies by up to this much both ways, evenly; in order
  Duration lateness{};            // late frames are so by up to this much, evenly
  std::uint64_t rate_bits = 0;    // per second; 0 is without limit
  Duration queue{};               // how long a frame waits for the rate before it is dropped; 0: as
                                  // long as there is room
  std::uint64_t police_bits = 0;  // per second; what exceeds it is dropped at once; 0: nothing is
  std::uint64_t burst_bytes = 0;  // by which it may be exceeded
  // Longer packets vanish, and nobody says so; 0 is without limit. Without the frame's header.
  std::uint32_t mtu = 0;

  // Units: `%`; `ns us ms s`; `bit kbit Mbit Gbit`, `B kB MB`, decimal; `mtu` has none.
  static Result<ImpairmentSpec> parse(std::string_view text);

  friend bool operator==(const ImpairmentSpec&, const ImpairmentSpec&) = default;
};

}  // namespace tideline::port
