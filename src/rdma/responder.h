// SPDX-License-Identifier: Apache-2.0
// The responder: what a requester's packets do to memory and receive queues, and what is answered.
// IBA 9.7.4 (RC), 9.8.2 (UC), 9.8.3 (UD): a function per check, in the order of 9.6 and 9.7.4.1.
// Inside the room. Thread: the engine's lock.
#pragma once

#include "base/time.h"
#include "rdma/core.h"
#include "rdma/incoming.h"
#include "rdma/queue_pair.h"
#include "rdma/requester.h"
#include "wire/roce.h"

namespace tideline::rdma {

// A request for an RC or UC queue pair.
void receive_request(Core& core, QueuePair& qp, Incoming& in, Instant now);
// A datagram for a UD queue pair.
void receive_datagram(Core& core, QueuePair& qp, Incoming& in, Instant now);

// Sends the next response that is due: READ and atomic responses first, in order, then the
// acknowledgement of what came after them (9.7.5.1.1).
Sending send_response(Core& core, QueuePair& qp, Instant now);
inline bool wants_to_respond(const QueuePair& qp) {
  return qp.responder.replay_pending > 0 || qp.responder.ack_due;
}

// Takes a receive request into the queue pair's hand, unless it has one. False if there is none.
bool take_receive(QueuePair& qp);
// A receive request was posted: a peer that knows of none is told.
void tell_credits(Core& core, QueuePair& qp);

// What the responder notes of an ACK that is due; its credits are those of when it leaves.
inline constexpr std::uint8_t kAckSyndrome =
    wire::AethSyndrome::kAck | wire::AethSyndrome::kNoCredits;

}  // namespace tideline::rdma
