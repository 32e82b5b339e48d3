// SPDX-License-Identifier: Apache-2.0
// What a connection counts for those who ask (TCP_INFO), and how it is told. Internal to the room.
// Thread: the worker's.
#pragma once

#include "tcp/core.h"

namespace tideline::tcp {

// The retransmission timer has expired, for a SYN or for data; before it is counted in `retries`.
void note_timeout(Tcb& tcb, Instant now);
// The peer has acknowledged something new: a row of time-outs, if there was one, is over.
inline void note_answer(Tcb& tcb, Instant now);

// How fast the path delivers. As a round trip counts what was outstanding at some time and all that
// is delivered until it is acknowledged: one subtraction per acknowledgment, where the samples of
// delivery_rate.h, which BBR lives by, want a record of each frame.
//
// Something is sent, and nothing was outstanding before; the round ends with `end`.
void begin_delivery_round(Tcb& tcb, Seq end, Instant now);
// Something was delivered.
void note_delivery(Tcb& tcb, Instant now);

Info info_of(const Core& core, const Tcb& tcb, Instant now);

// --- Details.

inline void note_answer(Tcb& tcb, Instant now) {
  if (tcb.retries == 0 || tcb.incidents == nullptr) return;
  Incidents& incidents = *tcb.incidents;
  if (incidents.timeout_since == Instant{}) return;
  incidents.timed_out += now - incidents.timeout_since;
  incidents.timeout_since = {};
}

}  // namespace tideline::tcp
