// SPDX-License-Identifier: Apache-2.0
// The receiving side: what of a segment is new, where its bytes go, when to acknowledge and how
// much more may come. Internal to the room. Thread: the worker's.
#pragma once

#include "tcp/core.h"
#include "tcp/segment.h"

namespace tideline::tcp {

// RFC 7323 §2.2: the scale that the largest receive buffer needs.
std::uint8_t window_scale(const Config& config);

// RFC 9293 §3.4, table 6, with RFC 7323 §5.3 (PAWS) before. False if the segment ends here; it has
// been answered where it must be.
bool is_acceptable(Core& core, Tcb& tcb, const Segment& segment, Instant now);
// Cuts off what lies before rcv_nxt and beyond the window. The segment is acceptable.
void trim_to_window(Core& core, Tcb& tcb, Segment& segment);
// RFC 9293 §3.10.7.4, seventh: puts the payload where it belongs, and decides when to acknowledge.
void process_text(Core& core, Tcb& tcb, Segment& segment, Instant now);
// Before: what the network has marked is echoed.
void see_mark(Core& core, Tcb& tcb, const Segment& segment, Instant now);
// Eighth: the peer will send no more.
void process_fin(Core& core, Tcb& tcb, Instant now);

// The owner has taken bytes: tells the peer if that opens the window enough (RFC 9293 §3.8.6.2.2).
void window_may_open(Core& core, Tcb& tcb, Instant now);
// SACK and DSACK blocks that the next acknowledgment carries: RFC 2018, RFC 2883.
void add_sack_blocks(const Tcb& tcb, wire::TcpOptions& options);

}  // namespace tideline::tcp
