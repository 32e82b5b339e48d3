// SPDX-License-Identifier: Apache-2.0
// What happens when a connection's deadline has come. Internal to the room. Thread: the worker's.
#pragma once

#include "tcp/core.h"

namespace tideline::tcp {

// The wheel has fired for this connection: does what is due, and schedules the rest.
void run_timers(Core& core, Tcb& tcb, Instant now);
// The options for keepalive have changed.
void restart_keepalive(Core& core, Tcb& tcb, Instant now);

}  // namespace tideline::tcp
