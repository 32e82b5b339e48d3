// SPDX-License-Identifier: Apache-2.0
// SYN cookies: a SYN answered without remembering it. RFC 4987 §3.6, Bernstein's construction: the
// initial sequence number says, under a key, what we would have remembered. What it has no room for
// travels in the timestamp, if the peer has one.
//
//   31        27   24                          0        TSval, lowest bits:  6     2      1      0
//   | minutes | MSS | keyed hash of all of this |                            | scale | SACK | ECN |
//
// Thread: the worker's.
#pragma once

#include <cstdint>
#include <optional>

#include "tcp/core.h"
#include "tcp/segment.h"

namespace tideline::tcp {

struct CookieOptions {
  std::uint16_t mss = 536;
  bool timestamps = false;
  bool wscale_on = false;
  std::uint8_t wscale = 0;
  bool sack = false;
  bool ecn = false;
};

// The answer to a SYN.
void send_cookie(Core& core, const Listener& listener, const Segment& syn, Instant now);
// What an acknowledgment of a cookie of ours says; nothing if it is none, or too old.
std::optional<CookieOptions> check_cookie(const Core& core, const Segment& ack, Instant now);
// How long cookies are believed.
inline constexpr Duration kCookieLife = std::chrono::minutes(2);

}  // namespace tideline::tcp
