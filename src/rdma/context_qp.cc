// SPDX-License-Identifier: Apache-2.0
// The verbs on queue pairs: 10.2.4, 10.3.1, 11.2.4, 11.4.1.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "rdma/context.h"
#include "rdma/device.h"
#include "rdma/finish.h"
#include "rdma/outgoing.h"
#include "rdma/refusal.h"
#include "rdma/requester.h"
#include "rdma/responder.h"

namespace tideline::rdma {

using M = QpMask;

namespace {

void put_up_requester(QueuePair& qp) {
  RequesterState& req = qp.requester;
  const Psn psn(qp.attributes.send_psn);
  req.next_psn = req.sent_psn = req.una = req.cursor_psn = psn;
  req.cursor = qp.send_queue.head();
  req.retries_left = qp.attributes.retry_count;
  req.rnr_left = qp.attributes.rnr_retry;
}

}  // namespace

Result<QueuePair*> Context::create_qp(ProtectionDomain& pd, const QpInit& init) {
  const DeviceLimits& limits = core().options.limits;
  const QpCapacity& asked = init.capacity;
  if (init.type != QpType::kRc && init.type != QpType::kUc && init.type != QpType::kUd) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("queue pairs of type {} are not supported",
                                     static_cast<unsigned>(init.type)),
                 .errno_value = EOPNOTSUPP});
  }
  if (init.send_cq == nullptr || init.recv_cq == nullptr) {
    return invalid("a queue pair needs two completion queues");
  }
  if (asked.send_wr > limits.max_qp_wr || asked.recv_wr > limits.max_qp_wr ||
      asked.send_sge > limits.max_sge || asked.recv_sge > limits.max_sge ||
      asked.inline_data > limits.max_inline) {
    return invalid(fmt::format(
        "queue pair of {} and {} requests, {} and {} pieces, {} bytes inline", asked.send_wr,
        asked.recv_wr, asked.send_sge, asked.recv_sge, asked.inline_data));
  }
  auto qp = std::make_unique<QueuePair>();
  qp->pd = &pd;
  qp->init = init;
  qp->send_queue = SendQueue(asked.send_wr, asked.send_sge, asked.inline_data);
  qp->init.capacity.send_wr = qp->send_queue.capacity();
  if (init.srq == nullptr) {
    qp->receive_queue = ReceiveQueue(asked.recv_wr, asked.recv_sge);
    qp->init.capacity.recv_wr = qp->receive_queue.capacity();
  } else {
    qp->init.capacity.recv_wr = qp->init.capacity.recv_sge = 0;
    ++init.srq->users;
  }
  if (!core().add(*qp)) {
    if (init.srq != nullptr) --init.srq->users;
    return exhausted(fmt::format("the device has no more than {} queue pairs", limits.max_qp));
  }
  ++pd.users;
  ++init.send_cq->users;
  ++init.recv_cq->users;
  return qps_.emplace_back(std::move(qp)).get();
}

Status Context::destroy_qp(QueuePair& qp) {
  core().remove(qp);
  --qp.pd->users;
  --qp.init.send_cq->users;
  --qp.init.recv_cq->users;
  if (qp.init.srq != nullptr) --qp.init.srq->users;
  const auto found =
      std::ranges::find_if(qps_, [&](const auto& owned) { return owned.get() == &qp; });
  CHECK(found != qps_.end());
  std::swap(*found, qps_.back());
  qps_.pop_back();
  return {};
}

Status Context::check_attributes(const QueuePair& qp, const QpAttributes& attributes,
                                 std::uint32_t mask) const {
  const DeviceLimits& limits = core().options.limits;
  const auto has = [&](std::uint32_t bit) { return (mask & bit) != 0; };
  if (has(M::kPort) && attributes.port != 1) return invalid("the device has port 1 only");
  if (has(M::kPkeyIndex) && attributes.pkey_index != 0) return invalid("P_Key index beyond 0");
  if (has(M::kPathMtu) &&
      (attributes.path_mtu < Mtu::k256 || attributes.path_mtu > core().active_mtu())) {
    return invalid(fmt::format("path MTU code {} is beyond the port's {}",
                               static_cast<unsigned>(attributes.path_mtu),
                               static_cast<unsigned>(core().active_mtu())));
  }
  if (has(M::kTimeout) && attributes.timeout > 31) return invalid("timeout is beyond 31");
  if (has(M::kRetryCount) && attributes.retry_count > 7) return invalid("retry count is beyond 7");
  if (has(M::kRnrRetry) && attributes.rnr_retry > 7) return invalid("RNR retry is beyond 7");
  if (has(M::kMinRnrTimer) && attributes.min_rnr_timer > 31) {
    return invalid("min RNR timer is beyond 31");
  }
  if ((has(M::kMaxRdAtomic) && attributes.max_rd_atomic > limits.max_rd_atomic) ||
      (has(M::kMaxDestRdAtomic) && attributes.max_dest_rd_atomic > limits.max_rd_atomic)) {
    return invalid(fmt::format("more than {} READs and atomics", limits.max_rd_atomic));
  }
  if (has(M::kAlternatePath) || has(M::kPathMigration)) return invalid("there are no other paths");
  if (!has(M::kAddress)) return {};
  const auto route = core().route_to(attributes.address, qp.number);
  if (!route) return std::unexpected(route.error());
  return {};
}

void Context::apply(QueuePair& qp, const QpAttributes& from, std::uint32_t mask) {
  QpAttributes& to = qp.attributes;
  const auto has = [&](std::uint32_t bit) { return (mask & bit) != 0; };
  if (has(M::kSqdNotify)) to.sqd_notify = from.sqd_notify;
  if (has(M::kAccess)) to.access = from.access;
  if (has(M::kPkeyIndex)) to.pkey_index = from.pkey_index;
  if (has(M::kPort)) to.port = from.port;
  if (has(M::kQkey)) to.qkey = from.qkey;
  if (has(M::kPathMtu)) to.path_mtu = from.path_mtu;
  if (has(M::kTimeout)) to.timeout = from.timeout;
  if (has(M::kRetryCount)) to.retry_count = from.retry_count;
  if (has(M::kRnrRetry)) to.rnr_retry = from.rnr_retry;
  if (has(M::kMinRnrTimer)) to.min_rnr_timer = from.min_rnr_timer;
  if (has(M::kReceivePsn)) to.receive_psn = from.receive_psn & Psn::kMask;
  if (has(M::kSendPsn)) to.send_psn = from.send_psn & Psn::kMask;
  if (has(M::kMaxRdAtomic)) to.max_rd_atomic = from.max_rd_atomic;
  if (has(M::kMaxDestRdAtomic)) to.max_dest_rd_atomic = from.max_dest_rd_atomic;
  if (has(M::kDestinationQpn)) to.destination_qpn = from.destination_qpn & Psn::kMask;
  if (has(M::kAddress)) {
    to.address = from.address;
    qp.route = core().route_to(from.address, qp.number).value();
  }
  qp.ack_timeout = ack_timeout(to.timeout);
}

Status Context::modify_qp(QueuePair& qp, const QpAttributes& attributes, std::uint32_t mask,
                          Instant now) {
  if ((mask & M::kCurrentState) != 0 && attributes.current_state != qp.state) {
    return invalid(fmt::format("queue pair {:#x} is in {}, not in {}", qp.number, name_of(qp.state),
                               name_of(attributes.current_state)));
  }
  const QpState to = (mask & M::kState) != 0 ? attributes.state : qp.state;
  if (const Status checked = check_transition(qp.init.type, qp.state, to, mask); !checked) {
    return checked;
  }
  if (const Status checked = check_attributes(qp, attributes, mask); !checked) return checked;
  apply(qp, attributes, mask);
  if ((mask & M::kMaxDestRdAtomic) != 0) {
    qp.responder.replay.assign(attributes.max_dest_rd_atomic, {});
    qp.responder.replay_next = qp.responder.replay_pending = 0;
  }
  if (to != qp.state) enter(qp, to, now);
  core().show(qp);
  return {};
}

// 10.3.1: what each state begins with.
void Context::enter(QueuePair& qp, QpState state, Instant now) {
  const QpState from = std::exchange(qp.state, state == QpState::kErr ? qp.state : state);
  switch (state) {
    case QpState::kReset:
      reset(qp);
      qp.attributes = {};
      return;
    case QpState::kInit:
      return;
    case QpState::kRtr:
      qp.mtu = bytes_of(qp.init.type == QpType::kUd ? core().active_mtu() : qp.attributes.path_mtu);
      qp.responder.expected_psn = Psn(qp.attributes.receive_psn);
      if (qp.init.type != QpType::kUd && !qp.route.loopback) {
        core().sender.prepare(qp.route.destination, now);
      }
      return;
    case QpState::kRts:
      if (from == QpState::kRtr) put_up_requester(qp);
      core().schedule(qp);
      return;
    case QpState::kSqd:
      qp.requester.drained = false;
      check_drained(qp);
      return;
    case QpState::kSqe:
      return;
    case QpState::kErr:
      enter_error(core(), qp, now);
      return;
  }
}

QpAttributes Context::query_qp(const QueuePair& qp) const {
  QpAttributes attributes = qp.attributes;
  attributes.state = attributes.current_state = qp.state;
  attributes.send_psn = qp.requester.next_psn.value();
  attributes.receive_psn = qp.responder.expected_psn.value();
  return attributes;
}

// 11.4.1.1: what a consumer's mistake is, as opposed to a completion error.
Posted Context::check_send(const QueuePair& qp, const SendRequest& request) const {
  const SendQueue& queue = qp.send_queue;
  if (qp.state == QpState::kReset || qp.state == QpState::kInit || qp.state == QpState::kRtr) {
    return Posted::kWrongState;
  }
  if (!fits(request, {.type = qp.init.type,
                      .max_sge = queue.max_sge(),
                      .max_inline = queue.inline_size(),
                      .mtu = qp.mtu})) {
    return Posted::kInvalid;
  }
  if (qp.init.type == QpType::kUd && request.ah->pd != qp.pd) return Posted::kInvalid;
  return queue.full() ? Posted::kFull : Posted::kPosted;
}

Posted Context::post_send(QueuePair& qp, const SendRequest& request, Instant now) {
  if (const Posted checked = check_send(qp, request); checked != Posted::kPosted) return checked;
  SendQueue& queue = qp.send_queue;
  SendWqe& wqe = queue.slot();
  wqe.request = request;
  wqe.length = is_atomic(request.opcode) ? 8 : static_cast<std::uint32_t>(length_of(request));
  wqe.started = wqe.finished = false;
  wqe.status = WcStatus::kSuccess;
  if (request.ah != nullptr) wqe.route = request.ah->route;
  wqe.request.ah = nullptr;  // it may be destroyed before we send
  if ((request.flags & SendFlags::kInline) != 0) {
    std::span<std::byte> to = queue.slot_inline();
    std::ranges::copy(request.inline_data, to.begin());
    to = to.subspan(request.inline_data.size());
    for (const Sge& sge : request.sges) {
      if (!memory_.load(sge.address, to.first(sge.length))) return Posted::kFault;
      to = to.subspan(sge.length);
    }
    core().counters.passes.add(packet::Pass::kCopy, wqe.length);
    wqe.request.sges = {};
    wqe.request.inline_data = {};
  } else {
    const std::span<Sge> sges = queue.slot_sges().first(request.sges.size());
    std::ranges::copy(request.sges, sges.begin());
    wqe.request.sges = sges;
  }
  queue.push();
  if (qp.state == QpState::kErr || qp.state == QpState::kSqe) {
    flush_send_queue(core(), qp, now);
  } else {
    core().schedule(qp);
  }
  return Posted::kPosted;
}

Posted Context::post_recv(QueuePair& qp, const ReceiveRequest& request, Instant now) {
  if (qp.state == QpState::kReset) return Posted::kWrongState;
  if (qp.init.srq != nullptr) return Posted::kInvalid;
  const Posted posted = qp.receive_queue.post(request);
  if (posted != Posted::kPosted) return posted;
  if (qp.state == QpState::kErr) {
    flush_receive_queue(core(), qp, now);
  } else {
    tell_credits(core(), qp);
  }
  return posted;
}

Duration ack_timeout(std::uint8_t code) {
  return code == 0 ? Duration::zero() : Duration(std::int64_t{4096} << code);
}

Duration rnr_delay(std::uint8_t code) {
  // In units of 10 us.
  constexpr std::array<std::uint32_t, 32> kDelays{
      65536, 1,    2,    3,    4,    6,     8,     12,    16,    24,   32,
      48,    64,   96,   128,  192,  256,   384,   512,   768,   1024, 1536,
      2048,  3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152};
  return std::chrono::microseconds(10) * kDelays.at(code & 31U);
}

}  // namespace tideline::rdma
