// SPDX-License-Identifier: Apache-2.0
// How connections begin: active and passive open, simultaneous open, SYN cookies. Internal to the
// room. Thread: the worker's.
#pragma once

#include <optional>

#include "tcp/core.h"
#include "tcp/segment.h"

namespace tideline::tcp {

// Sends the SYN of a new connection.
void open_active(Core& core, Tcb& tcb, Instant now);
// RFC 9293 §3.10.7.2. `after` is the last number of an earlier incarnation (RFC 6191).
void listen_arrives(Core& core, Listener& listener, Segment& segment, std::optional<Seq> after,
                    Instant now);
// RFC 9293 §3.10.7.3.
void syn_sent_arrives(Core& core, Tcb& tcb, Segment& segment, Instant now);
// Our SYN is acknowledged.
void become_established(Core& core, Tcb& tcb, const Segment& segment, Instant now);
// Gives a connection of SYN-RECEIVED to its listener's owner. False if that has no room.
bool hand_over(Core& core, Tcb& tcb, Listener& listener, Instant now);
// SYN-RECEIVED, and our SYN is acknowledged. False if the connection is not established yet, for
// its listener has no room, or not any more.
bool establish(Core& core, Tcb& tcb, const Segment& segment, Instant now);

// StreamOptions::defer_accept of a passive connection, in time-outs of its SYN-ACK.
unsigned deferrals(const Core& core, const Tcb& tcb);

}  // namespace tideline::tcp
