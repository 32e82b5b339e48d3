// SPDX-License-Identifier: Apache-2.0
// A segment arrives for a connection: RFC 9293 §3.10.7.3 and §3.10.7.4. Internal to the room.
// Thread: the worker's.
#pragma once

#include "tcp/core.h"
#include "tcp/segment.h"

namespace tideline::tcp {

void segment_arrives(Core& core, Tcb& tcb, Segment& segment, Instant now);

}  // namespace tideline::tcp
