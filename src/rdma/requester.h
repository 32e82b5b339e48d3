// SPDX-License-Identifier: Apache-2.0
// The requester: turns posted requests into packets, in order, and again when they were lost. IBA
// 9.7.2 to 9.7.3 (RC), 9.8.2 (UC), 9.8.3 (UD), ordering of table 76. Inside the room. Thread: the
// engine's lock.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "rdma/core.h"
#include "rdma/queue_pair.h"

namespace tideline::rdma {

enum class Sending : std::uint8_t {
  kSent,      // a frame has left; there may be more
  kIdle,      // nothing may be sent now
  kNoBuffer,  // the pool is exhausted: try again later
};

// Sends the next frame that the queue pair has, requests on keys of its own executed on the way.
Sending send_request(Core& core, QueuePair& qp, Instant now);

// Whether send_request would find something to do, now.
bool wants_to_send(Core& core, QueuePair& qp, Instant now);

// What follows is for the completer.

// Everything from the oldest unacknowledged packet on is sent again: go-back-N, 9.7.5.1.1.
void go_back(Core& core, QueuePair& qp);
// The acknowledgement timer runs from now on while something is outstanding: C9-139 ff.
void restart_ack_timer(Core& core, QueuePair& qp, Instant now);
// The queue pair's time may have come: acknowledgement timer, end of an RNR wait.
void requester_timer(Core& core, QueuePair& qp, Instant now);

}  // namespace tideline::rdma
