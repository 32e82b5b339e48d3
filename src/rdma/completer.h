// SPDX-License-Identifier: Apache-2.0
// The completer: what a responder's packets mean for the requests that wait. IBA 9.7.5 to 9.7.7, a
// function per step. Inside the room. Thread: the engine's lock.
#pragma once

#include "base/time.h"
#include "rdma/core.h"
#include "rdma/incoming.h"
#include "rdma/queue_pair.h"

namespace tideline::rdma {

// An acknowledgement, READ response or atomic response for an RC queue pair.
void receive_response(Core& core, QueuePair& qp, Incoming& in, Instant now);

}  // namespace tideline::rdma
