// SPDX-License-Identifier: Apache-2.0
#include "rdma/finish.h"

#include <utility>

namespace tideline::rdma {
namespace {

WcOpcode wc_opcode(SendOpcode opcode) {
  switch (opcode) {
    case SendOpcode::kWrite:
    case SendOpcode::kWriteImm:
      return WcOpcode::kWrite;
    case SendOpcode::kSend:
    case SendOpcode::kSendImm:
    case SendOpcode::kSendInvalidate:
      return WcOpcode::kSend;
    case SendOpcode::kRead:
      return WcOpcode::kRead;
    case SendOpcode::kCompareSwap:
      return WcOpcode::kCompareSwap;
    case SendOpcode::kFetchAdd:
      return WcOpcode::kFetchAdd;
    case SendOpcode::kLocalInvalidate:
      return WcOpcode::kLocalInvalidate;
    case SendOpcode::kBindWindow:
      return WcOpcode::kBindWindow;
  }
  return WcOpcode::kSend;
}

// 11.6.3.1: the queue is lost, and with it every queue pair that needed it.
bool push(Core& core, QueuePair& qp, CompletionQueue& cq, const Completion& completion) {
  const bool was_overrun = cq.overrun();
  if (cq.push(completion)) return true;
  core.counters.add(Counter::kCqOverrun);
  if (!was_overrun) {
    cq.context().sink().asynchronous({.type = EventType::kCqError, .cq = &cq});
  }
  if (qp.state != QpState::kErr) raise(qp, EventType::kQpFatal);
  return false;
}

std::uint64_t timestamp(Instant now) {
  return static_cast<std::uint64_t>(now.time_since_epoch().count());
}

// Completes and drops the oldest request. 10.8.3.1: success is told if asked for, errors always.
bool complete_oldest(Core& core, QueuePair& qp, WcStatus status, std::uint8_t vendor_error,
                     Instant now) {
  const SendWqe& wqe = qp.send_queue.at(qp.send_queue.head());
  const SendRequest& request = wqe.request;
  const bool told = status != WcStatus::kSuccess || qp.init.signal_all ||
                    (request.flags & SendFlags::kSignaled) != 0;
  const Completion completion{.wr_id = request.wr_id,
                              .qp_num = qp.number,
                              .byte_len = wqe.length,
                              .status = status,
                              .opcode = wc_opcode(request.opcode),
                              .vendor_error = vendor_error,
                              .timestamp = timestamp(now)};
  if (status == WcStatus::kSuccess) {
    ++qp.counters.requests;
    qp.counters.request_bytes += wqe.length;
  }
  qp.send_queue.pop();
  return !told || push(core, qp, *qp.init.send_cq, completion);
}

// UC and UD: an error of the sending side leaves the receiving side working (10.3.1.6).
void enter_send_error(Core& core, QueuePair& qp, Instant now) {
  if (qp.init.type == QpType::kRc) {
    enter_error(core, qp, now);
    return;
  }
  if (qp.state == QpState::kErr) return;
  qp.state = QpState::kSqe;
  flush_send_queue(core, qp, now);
}

}  // namespace

void flush_send_queue(Core& core, QueuePair& qp, Instant now) {
  while (!qp.send_queue.empty()) complete_oldest(core, qp, WcStatus::kFlushed, 0, now);
  RequesterState& req = qp.requester;
  req.cursor = qp.send_queue.head();
  req.cursor_offset = 0;
  req.placed = 0;
  req.reads_in_flight = 0;
  req.ack_deadline = kNever;
  req.silent_until = kNever;
}

void flush_receive_queue(Core& core, QueuePair& qp, Instant now) {
  while (qp.receive_queue.take(qp.responder.receive)) {
    complete_receive(core, qp, {.status = WcStatus::kFlushed}, now);
  }
}

void retire(Core& core, QueuePair& qp, Instant now) {
  SendQueue& queue = qp.send_queue;
  while (!queue.empty() && queue.at(queue.head()).finished) {
    const WcStatus status = queue.at(queue.head()).status;
    const bool kept = complete_oldest(core, qp, status, 0, now);
    if (!kept) {
      enter_error(core, qp, now);
      return;
    }
    if (status != WcStatus::kSuccess) {
      enter_send_error(core, qp, now);
      return;
    }
  }
  check_drained(qp);
}

void fail_oldest(Core& core, QueuePair& qp, WcStatus status, std::uint8_t vendor_error,
                 Instant now) {
  if (!qp.send_queue.empty()) complete_oldest(core, qp, status, vendor_error, now);
  enter_send_error(core, qp, now);
}

void complete_receive(Core& core, QueuePair& qp, const Received& received, Instant now) {
  ResponderState& resp = qp.responder;
  resp.has_receive = false;
  const Completion completion{.wr_id = resp.receive.wr_id,
                              .qp_num = qp.number,
                              .src_qp = received.src_qp,
                              .byte_len = received.byte_len,
                              .immediate = received.immediate,
                              .status = received.status,
                              .opcode = received.opcode,
                              .flags = received.flags,
                              .vendor_error = received.vendor_error,
                              .solicited = received.solicited,
                              .header = received.header,
                              .timestamp = timestamp(now)};
  if (!push(core, qp, *qp.init.recv_cq, completion)) enter_error(core, qp, now);
}

void enter_error(Core& core, QueuePair& qp, Instant now) {
  if (qp.state == QpState::kErr) return;
  qp.state = QpState::kErr;
  core.show(qp);
  flush_send_queue(core, qp, now);
  ResponderState& resp = qp.responder;
  resp.message = ResponderState::Message::kNone;
  if (resp.replay_pending > 0) {
    for (ReplayEntry& entry : resp.replay) entry.pending = false;
    resp.replay_pending = 0;
  }
  if (resp.has_receive) complete_receive(core, qp, {.status = WcStatus::kFlushed}, now);
  if (qp.init.srq != nullptr) {
    raise(qp, EventType::kLastWqeReached);  // 10.2.9.3: an SRQ is not flushed
    return;
  }
  flush_receive_queue(core, qp, now);
}

void reset(QueuePair& qp) {
  qp.send_queue.clear();
  qp.receive_queue.clear();
  qp.requester = {};
  qp.responder = {};
}

void raise(QueuePair& qp, EventType type) {
  qp.pd->context.sink().asynchronous({.type = type, .qp = &qp});
}

void check_drained(QueuePair& qp) {
  if (qp.state != QpState::kSqd || qp.requester.drained) return;
  const SendQueue& queue = qp.send_queue;
  if (!queue.empty() && queue.at(queue.head()).started) return;
  qp.requester.drained = true;
  if (qp.attributes.sqd_notify) raise(qp, EventType::kSendQueueDrained);
}

}  // namespace tideline::rdma
