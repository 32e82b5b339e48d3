// SPDX-License-Identifier: Apache-2.0
// The sending side: what may be sent now, in frames as long as possible. Internal to the room.
// Thread: the worker's.
#pragma once

#include "tcp/core.h"
#include "tcp/segment.h"

namespace tideline::tcp {

// Sends everything that windows, Nagle and pacing allow: lost segments first, then new ones, then a
// FIN; at least an ACK if one is due. Sets the retransmission timer.
void output(Core& core, Tcb& tcb, Instant now);
// BBR's, or asked for. Bytes per second.
bool is_paced(const Tcb& tcb);
std::uint64_t pacing_rate(const Tcb& tcb);
// RFC 8985 §7.3.
void send_tail_probe(Core& core, Tcb& tcb, Instant now);
// One segment of new data, whatever Nagle and the congestion window say, as far as the peer's
// window goes. False if there is none, or memory lacks.
bool send_next_segment(Core& core, Tcb& tcb, Instant now);
// StreamOptions::notsent_lowat: tells the owner how much more it should write.
bool is_unsent_bounded(const Core& core, const Tcb& tcb);
void bound_unsent(Core& core, Tcb& tcb);
// What an ACK has freed starts the timers anew: RFC 6298 §5.3, RFC 8985 §7.2.
void restart_retransmit_timer(Core& core, Tcb& tcb, Instant now);
// Another of the timers has been served, or is no longer needed; the time-out runs as before.
void continue_retransmit_timer(Core& core, Tcb& tcb, Instant now);

// The payload of a full segment after the path's MTU, the peer's MSS and our options.
void update_mss(Core& core, Tcb& tcb, Instant now);

}  // namespace tideline::tcp
