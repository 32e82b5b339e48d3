// SPDX-License-Identifier: Apache-2.0
// Local bypass: both ends of a connection are this host's, so bytes go straight from the one's send
// buffer into the other's receive buffer, and the sequence variables of both advance as if a
// segment and its acknowledgment had come and gone. Whatever else they say to each other
// (handshake, FIN, RST, keepalive, probes of a closed window) remains segments over loopback, so a
// connection may go one way now and the other then. Internal to the room. Thread: the worker's.
#pragma once

#include "tcp/core.h"

namespace tideline::tcp {

// A connection is established: notes whether its other end is here, too.
void note_local(Core& core, Tcb& tcb);

// What output() does before it makes segments of what is new. False: there must be none now, for
// some are still on their way.
bool move_locally(Core& core, Tcb& tcb, Instant now);

// The owner has taken bytes: the other end may go on. False: it must be told by a segment.
bool resume_local(Core& core, const Tcb& tcb);

}  // namespace tideline::tcp
