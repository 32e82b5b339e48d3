// SPDX-License-Identifier: Apache-2.0
// TCP Fast Open, the side that opens: RFC 7413 §4.2. With a cookie of the server's, the SYN waits
// for what is written first, and takes it along. Without one it asks for it. Internal to the room.
// Thread: the worker's.
//
//   connect() --cookie known--> SYN-SENT, syn_waits --written--> SYN + cookie + data --SYN-ACK-->
//       \-----none known------> SYN + empty option
//
// The data of a SYN is not in flight as other data is: what the SYN-ACK does not acknowledge is
// sent as if for the first time.
#pragma once

#include "tcp/core.h"
#include "tcp/segment.h"

namespace tideline::tcp {

// Of a connection in SYN-SENT that has sent nothing: whether its SYN waits. If not, it goes now.
bool delay_syn(Core& core, Tcb& tcb, Instant now);
// The SYN that has waited, if there is something to take along.
void send_delayed_syn(Core& core, Tcb& tcb, Instant now);
// Written data waits for the SYN-ACK, so that neither FIN nor close() may take it away.
bool has_early_data(const Tcb& tcb);

// The SYN was not answered in time, and goes again as any other.
void lose_fast_syn(Core& core, Tcb& tcb, Instant now);
// The SYN-ACK has come, and the connection is established.
void take_fast_syn_ack(Core& core, Tcb& tcb, const Segment& segment, Instant now);
// What has been sent since is not answered either.
void watch_for_black_hole(Core& core, const Tcb& tcb, Instant now);

}  // namespace tideline::tcp
