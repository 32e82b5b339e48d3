// SPDX-License-Identifier: Apache-2.0
// How requests end: completions in order, the first error before the flush, the queue pair's way
// into an error state, and the events that go with it. IBA 10.3.1, 10.8.3, 10.10. Inside the room.
// Thread: the engine's lock.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "rdma/context.h"
#include "rdma/core.h"
#include "rdma/queue_pair.h"
#include "rdma/types.h"

namespace tideline::rdma {

// What a completed receive says beside its request.
struct Received {
  WcStatus status = WcStatus::kSuccess;
  WcOpcode opcode = WcOpcode::kReceive;
  std::uint16_t flags = 0;
  std::uint32_t byte_len = 0;
  std::uint32_t immediate = 0;
  std::uint32_t src_qp = 0;
  std::uint8_t vendor_error = 0;
  bool solicited = false;
  NetworkHeader header = NetworkHeader::kNone;
};

// Completes every finished request at the head of the send queue. An unsuccessful one is the queue
// pair's error, and flushes the rest.
void retire(Core& core, QueuePair& qp, Instant now);
// The oldest request has failed: completes it so, and flushes the rest.
void fail_oldest(Core& core, QueuePair& qp, WcStatus status, std::uint8_t vendor_error,
                 Instant now);
// Completes the receive request that the queue pair has in hand.
void complete_receive(Core& core, QueuePair& qp, const Received& received, Instant now);

// Requests that are posted in an error state: 10.3.1.6 and .7.
void flush_send_queue(Core& core, QueuePair& qp, Instant now);
void flush_receive_queue(Core& core, QueuePair& qp, Instant now);
// RC, and errors of the receiving side: all requests are flushed, packets no longer taken.
void enter_error(Core& core, QueuePair& qp, Instant now);
// Forgets what is under way; the queues too.
void reset(QueuePair& qp);
void raise(QueuePair& qp, EventType type);
// SQD: tells, once, that what had been started has ended.
void check_drained(QueuePair& qp);

}  // namespace tideline::rdma
