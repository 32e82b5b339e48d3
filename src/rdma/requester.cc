// SPDX-License-Identifier: Apache-2.0
#include "rdma/requester.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "rdma/finish.h"
#include "rdma/outgoing.h"
#include "rdma/transfer.h"
#include "wire/roce.h"

namespace tideline::rdma {

using wire::RoceKind;
using wire::RoceService;

namespace {

RoceService service_of(QpType type) {
  switch (type) {
    case QpType::kRc:
      return RoceService::kRc;
    case QpType::kUc:
      return RoceService::kUc;
    case QpType::kUd:
      return RoceService::kUd;
  }
  return RoceService::kNone;
}

RoceKind kind_of(SendOpcode opcode) {
  switch (opcode) {
    case SendOpcode::kWrite:
    case SendOpcode::kWriteImm:
      return RoceKind::kWrite;
    case SendOpcode::kSend:
    case SendOpcode::kSendImm:
    case SendOpcode::kSendInvalidate:
      return RoceKind::kSend;
    case SendOpcode::kRead:
      return RoceKind::kReadRequest;
    case SendOpcode::kCompareSwap:
      return RoceKind::kCompareSwap;
    case SendOpcode::kFetchAdd:
      return RoceKind::kFetchAdd;
    case SendOpcode::kLocalInvalidate:
    case SendOpcode::kBindWindow:
      return RoceKind::kNone;
  }
  return RoceKind::kNone;
}

// The extension that the last packet of the message has.
std::uint8_t extra_of(SendOpcode opcode) {
  switch (opcode) {
    case SendOpcode::kSendImm:
    case SendOpcode::kWriteImm:
      return wire::RoceExtension::kImmediate;
    case SendOpcode::kSendInvalidate:
      return wire::RoceExtension::kInvalidate;
    default:
      return 0;
  }
}

bool expects_response(SendOpcode opcode) {
  return opcode == SendOpcode::kRead || opcode == SendOpcode::kCompareSwap ||
         opcode == SendOpcode::kFetchAdd;
}

bool consumes_receive(SendOpcode opcode) {
  return opcode == SendOpcode::kSend || opcode == SendOpcode::kSendImm ||
         opcode == SendOpcode::kSendInvalidate || opcode == SendOpcode::kWriteImm;
}

bool is_local(SendOpcode opcode) {
  return opcode == SendOpcode::kLocalInvalidate || opcode == SendOpcode::kBindWindow;
}

// As long as a part is on its way, the peer cannot take the region back.
constexpr std::uint32_t kDirectPart = 256U << 10;
constexpr std::uint32_t kWorthWaiting = 4096;
// What a part costs at least of core_.direct_budget: a call of the kernel takes as long as a copy
// of some kilobytes.
constexpr std::uint32_t kLeastCharge = 4096;

// A turn at the request under the cursor: one frame, or a reason why not.
class Turn {
 public:
  Turn(Core& core, QueuePair& qp, Instant now)
      : core_(core), qp_(qp), req_(qp.requester), queue_(qp.send_queue), now_(now) {}

  // Skips what needs no packet.
  Sending run() {
    while (may_send()) {
      SendWqe& wqe = queue_.at(req_.cursor);
      if (wqe.finished) {
        // Executed before we went back; or failed, and waits until older ones have completed.
        if (wqe.status != WcStatus::kSuccess) return Sending::kIdle;
        next_request();
        continue;
      }
      if (!wqe.started) {
        if (!may_start(wqe)) return Sending::kIdle;
        const Way way = begin(wqe);
        if (way == Way::kDone) continue;
        if (way == Way::kWaits) return Sending::kIdle;
        if (way == Way::kLater) return Sending::kNoBuffer;
      }
      if (is_window_full() || lacks_credit(wqe)) return Sending::kIdle;
      return send(wqe);
    }
    return Sending::kIdle;
  }

  bool wants() const {
    if (!may_send() || is_window_full()) return false;
    const SendWqe& wqe = queue_.at(req_.cursor);
    if (wqe.finished) return wqe.status == WcStatus::kSuccess;
    return (wqe.started || may_start(wqe)) && !lacks_credit(wqe);
  }

 private:
  bool may_send() const {
    const bool state = qp_.state == QpState::kRts || qp_.state == QpState::kSqd;
    return state && req_.cursor != queue_.tail() && req_.silent_until == kNever;
  }

  // 10.3.1.5: SQD begins nothing. C10-... and 10.8.3.3: a fenced request waits for READs and
  // atomics. 9.7.7 (C9-...): no more of those outstanding than the peer has resources for.
  bool may_start(const SendWqe& wqe) const {
    if (qp_.state == QpState::kSqd) return false;
    const bool fenced = (wqe.request.flags & SendFlags::kFence) != 0;
    if (fenced && req_.reads_in_flight > 0) return false;
    return !expects_response(wqe.request.opcode) ||
           req_.reads_in_flight < qp_.attributes.max_rd_atomic;
  }

  bool is_window_full() const {
    if (qp_.init.type != QpType::kRc) return false;
    const auto unacknowledged = static_cast<std::uint32_t>(req_.cursor_psn - req_.una);
    return std::uint64_t{unacknowledged} * qp_.mtu >= core_.options.window && unacknowledged > 0;
  }

  // 9.7.7.2: the peer has no receive request for it that we know of.
  bool is_beyond_limit(const SendWqe& wqe) const {
    if (!req_.limit || !consumes_receive(wqe.request.opcode)) return false;
    const Psn ssn = wqe.started ? wqe.ssn : req_.last_ssn + 1;
    return ssn > *req_.limit;
  }

  // One packet of such a message may go at a time: its answer, of whatever kind, tells how it is.
  bool lacks_credit(const SendWqe& wqe) const {
    return is_beyond_limit(wqe) && req_.cursor_psn != req_.una;
  }

  void start(SendWqe& wqe) {
    wqe.started = true;
    wqe.first_psn = req_.next_psn;
    wqe.ssn = req_.last_ssn += 1;
    const bool atomic = wqe.request.opcode == SendOpcode::kCompareSwap ||
                        wqe.request.opcode == SendOpcode::kFetchAdd;
    wqe.packets = atomic ? 1 : packets_of(wqe.length, qp_.mtu);
    req_.next_psn += wqe.packets;
  }

  enum class Way : std::uint8_t {
    kFrames,
    kDone,   // without a packet
    kWaits,  // by the direct path, when what was sent before has been acknowledged
    kLater,  // the rest of it, in the next run
  };

  Way begin(SendWqe& wqe) {
    if (is_local(wqe.request.opcode)) {
      execute_local(wqe);
      retire(core_, qp_, now_);
      return Way::kDone;
    }
    const Way way = core_.direct == nullptr ? Way::kFrames : place(wqe);
    if (way == Way::kFrames) start(wqe);
    return way;
  }

  // WRITE and READ by the direct path, which must not overtake what went by frames (ordering of
  // table 76). There is nothing to wait for on the way, so no PSN is used and no response comes.
  Way place(SendWqe& wqe) {
    const bool one_sided =
        wqe.request.opcode == SendOpcode::kWrite || wqe.request.opcode == SendOpcode::kRead;
    if (!one_sided || wqe.length == 0 || qp_.route.loopback) return Way::kFrames;
    if (!is_settled()) return waits(wqe) ? Way::kWaits : Way::kFrames;
    while (req_.placed < wqe.length) {
      if (core_.direct_budget == 0) return Way::kLater;
      const std::uint32_t size = std::min(kDirectPart, wqe.length - req_.placed);
      if (!place_part(wqe, size)) {
        req_.placed = 0;
        return Way::kFrames;
      }
      req_.placed += size;
      core_.direct_budget -=
          std::min<std::uint64_t>(core_.direct_budget, std::max(size, kLeastCharge));
    }
    req_.placed = 0;
    const bool write = wqe.request.opcode == SendOpcode::kWrite;
    core_.counters.add(write ? Counter::kDirectWrites : Counter::kDirectReads);
    core_.counters.add(Counter::kDirectBytes, wqe.length);
    finish_here(wqe);
    retire(core_, qp_, now_);
    return Way::kDone;
  }

  // Whether all that went by frames has been executed. Of UC nobody tells.
  bool is_settled() const {
    if (qp_.init.type == QpType::kRc) return req_.una == req_.next_psn;
    return req_.next_psn == Psn(qp_.attributes.send_psn);
  }

  // A short message is there as soon by a frame of its own as after the acknowledgement of others.
  bool waits(const SendWqe& wqe) const {
    return qp_.init.type == QpType::kRc && wqe.length >= kWorthWaiting &&
           core_.direct->reaches(qp_, direct_request(wqe));
  }

  static DirectRequest direct_request(const SendWqe& wqe) {
    return {.is_read = wqe.request.opcode == SendOpcode::kRead,
            .rkey = wqe.request.rkey,
            .address = wqe.request.remote_address,
            .length = wqe.length};
  }

  bool place_part(const SendWqe& wqe, std::uint32_t size) {
    DirectRequest part = direct_request(wqe);
    part.offset = req_.placed;
    std::array<DirectPiece, kMaxSge> pieces;
    if ((wqe.request.flags & SendFlags::kInline) != 0) {
      const auto data = queue_.inline_data(req_.cursor).subspan(req_.placed, size);
      pieces[0] = {.address = reinterpret_cast<std::uintptr_t>(data.data()), .length = size};
      part.pieces = std::span(pieces).first(1);
    } else {
      const Access needed = part.is_read ? Access::kLocalWrite : Access::kNone;
      const auto count =
          locate(core_, *qp_.pd, wqe.request.sges, req_.placed, size, needed, pieces);
      if (!count) return false;
      part.pieces = std::span(pieces).first(*count);
    }
    const DirectResult result = core_.direct->move(qp_, part);
    if (result == DirectResult::kRefused) return false;
    const bool kernel = result == DirectResult::kKernel;
    core_.counters.passes.add(kernel ? packet::Pass::kKernelCopy : packet::Pass::kCopy, size);
    return true;
  }

  // Done, without a packet.
  void finish_here(SendWqe& wqe) {
    wqe.started = true;
    wqe.first_psn = req_.next_psn;
    wqe.packets = 0;
    wqe.finished = true;
    next_request();
  }

  void execute_local(SendWqe& wqe) {
    const SendRequest& request = wqe.request;
    const bool bind = request.opcode == SendOpcode::kBindWindow;
    const bool done = bind ? core_.regions.bind(request.bind, qp_)
                           : core_.regions.invalidate(request.immediate, qp_, false);
    if (done) {
      finish_here(wqe);
      return;
    }
    wqe.started = wqe.finished = true;
    wqe.first_psn = req_.next_psn;
    wqe.packets = 0;
    wqe.status = bind ? WcStatus::kWindowBind : WcStatus::kLocalQpOperation;
  }

  Sending send(SendWqe& wqe) {
    const RoceKind kind = kind_of(wqe.request.opcode);
    wire::Roce headers{.qp = qp_.attributes.destination_qpn, .psn = req_.cursor_psn.value()};
    std::uint32_t count = 1;
    std::uint32_t size = 0;
    if (kind == RoceKind::kSend || kind == RoceKind::kWrite) {
      const std::uint32_t most = is_beyond_limit(wqe) ? 1 : packets_per_frame(core_, qp_.mtu);
      count = std::min(wqe.packets - req_.cursor_offset, most);
      const std::uint32_t begin = req_.cursor_offset * qp_.mtu;
      size = std::min(count * qp_.mtu, wqe.length - begin);
      message_headers(wqe, kind, count, headers);
    } else {
      response_headers(wqe, kind, headers);
      if (kind == RoceKind::kReadRequest) count = wqe.packets - req_.cursor_offset;
    }
    Outgoing outgoing = make_packet(core_, headers, size);
    if (!outgoing) return Sending::kNoBuffer;
    if (size > 0 && !load(wqe, outgoing, size)) return fail_here(wqe);
    if (req_.cursor_psn < req_.sent_psn) {
      const std::uint32_t again = kind == RoceKind::kReadRequest ? 1 : count;
      core_.counters.add(Counter::kRetransmits, again);
      qp_.counters.retransmits += again;
    }
    const Route& route = qp_.init.type == QpType::kUd ? wqe.route : qp_.route;
    send_packet(core_, std::move(outgoing), route, qp_.mtu, now_);
    advance(wqe, count);
    return Sending::kSent;
  }

  // SEND and WRITE, table 38: the first packet says where, the last brings immediate or key.
  void message_headers(const SendWqe& wqe, RoceKind kind, std::uint32_t count,
                       wire::Roce& headers) const {
    const SendRequest& request = wqe.request;
    const bool starts = req_.cursor_offset == 0;
    const bool ends = req_.cursor_offset + count == wqe.packets;
    headers.opcode = wire::find_roce_opcode(service_of(qp_.init.type), kind, starts, ends,
                                            ends ? extra_of(request.opcode) : std::uint8_t{0})
                         .code;
    headers.solicited = ends && (request.flags & SendFlags::kSolicited) != 0;
    headers.address = request.remote_address;
    headers.rkey = request.rkey;
    headers.length = wqe.length;
    headers.immediate = request.immediate;
    headers.invalidate_key = request.immediate;
    if (qp_.init.type == QpType::kUd) {
      headers.qp = request.remote_qpn;
      // C10-15: a Q_Key with its top bit set stands for the queue pair's own.
      const bool own = (request.remote_qkey & 0x80000000) != 0;
      headers.qkey = own ? qp_.attributes.qkey : request.remote_qkey;
      headers.source_qp = qp_.number;
    }
    // 9.7.5.1.2: at the end of a message, before the window closes, and for credits.
    headers.ack_request =
        qp_.init.type == QpType::kRc && (ends || closes_window(count) || is_beyond_limit(wqe));
  }

  bool closes_window(std::uint32_t count) const {
    const auto unacknowledged = static_cast<std::uint32_t>(req_.cursor_psn - req_.una) + count;
    const std::uint64_t quarter = core_.options.window / 4;
    const std::uint64_t before = std::uint64_t{unacknowledged - count} * qp_.mtu / quarter;
    return std::uint64_t{unacknowledged} * qp_.mtu / quarter != before;
  }

  // C9-...: a READ that is asked for again asks for the part that is missing.
  void response_headers(const SendWqe& wqe, RoceKind kind, wire::Roce& headers) const {
    const SendRequest& request = wqe.request;
    const std::uint32_t skipped = req_.cursor_offset * qp_.mtu;
    headers.opcode = wire::find_roce_opcode(RoceService::kRc, kind, true, true).code;
    headers.address = request.remote_address + skipped;
    headers.rkey = request.rkey;
    headers.length = wqe.length - skipped;
    headers.swap_add = kind == RoceKind::kCompareSwap ? request.swap : request.compare_add;
    headers.compare = kind == RoceKind::kCompareSwap ? request.compare_add : 0;
    headers.ack_request = true;
  }

  bool load(const SendWqe& wqe, Outgoing& outgoing, std::uint32_t size) {
    const std::uint32_t begin = req_.cursor_offset * qp_.mtu;
    if ((wqe.request.flags & SendFlags::kInline) == 0) {
      return gather(core_, *qp_.pd, wqe.request.sges, begin, outgoing.payload(), size);
    }
    PacketCursor to = outgoing.payload();
    auto from = queue_.inline_data(req_.cursor).subspan(begin, size);
    core_.counters.passes.add(packet::Pass::kCopy, size);
    while (!from.empty()) {
      const auto part = to.take_writable(from.size());
      std::memcpy(part.data(), from.data(), part.size());
      from = from.subspan(part.size());
    }
    return true;
  }

  // Our own memory is bad: what was sent before completes first, then this request, with the error.
  Sending fail_here(SendWqe& wqe) {
    wqe.finished = true;
    wqe.status = WcStatus::kLocalProtection;
    retire(core_, qp_, now_);
    return Sending::kIdle;
  }

  void advance(SendWqe& wqe, std::uint32_t count) {
    req_.cursor_offset += count;
    req_.cursor_psn += count;
    req_.sent_psn = std::max(req_.sent_psn, req_.cursor_psn);
    const bool whole = req_.cursor_offset == wqe.packets;
    if (whole) {
      if (expects_response(wqe.request.opcode)) ++req_.reads_in_flight;
      next_request();
    }
    if (qp_.init.type == QpType::kRc) {
      if (req_.ack_deadline == kNever) restart_ack_timer(core_, qp_, now_);
      return;
    }
    req_.una = req_.cursor_psn;
    if (!whole) return;
    wqe.finished = true;  // nobody will tell of its arrival
    retire(core_, qp_, now_);
  }

  void next_request() {
    ++req_.cursor;
    req_.cursor_offset = 0;
  }

  Core& core_;
  QueuePair& qp_;
  RequesterState& req_;
  SendQueue& queue_;
  Instant now_;
};

}  // namespace

Sending send_request(Core& core, QueuePair& qp, Instant now) { return Turn(core, qp, now).run(); }

bool wants_to_send(Core& core, QueuePair& qp, Instant now) { return Turn(core, qp, now).wants(); }

void go_back(Core& core, QueuePair& qp) {
  RequesterState& req = qp.requester;
  SendQueue& queue = qp.send_queue;
  req.cursor = queue.head();
  req.cursor_psn = req.una;
  req.reads_in_flight = 0;
  req.cursor_offset = 0;
  // The oldest requests may be local, and done.
  while (req.cursor != queue.tail() && queue.at(req.cursor).finished) ++req.cursor;
  if (req.cursor != queue.tail() && queue.at(req.cursor).started) {
    req.cursor_offset = static_cast<std::uint32_t>(req.una - queue.at(req.cursor).first_psn);
  }
  core.schedule(qp);
}

void restart_ack_timer(Core& core, QueuePair& qp, Instant now) {
  RequesterState& req = qp.requester;
  if (req.una == req.sent_psn || qp.ack_timeout == Duration::zero()) {
    req.ack_deadline = kNever;
    return;
  }
  req.ack_deadline = now + qp.ack_timeout;
  core.set_timer(qp, req.ack_deadline);
}

void requester_timer(Core& core, QueuePair& qp, Instant now) {
  RequesterState& req = qp.requester;
  if (req.silent_until <= now) {
    req.silent_until = kNever;
    core.schedule(qp);
  }
  if (req.ack_deadline <= now) {
    core.counters.add(Counter::kTimeouts);
    ++qp.counters.timeouts;
    req.ack_deadline = kNever;
    if (req.retries_left == 0) {
      core.counters.add(Counter::kRetryExceeded);
      fail_oldest(core, qp, WcStatus::kRetryExceeded, 0, now);
      return;
    }
    --req.retries_left;
    go_back(core, qp);
  }
  core.set_timer(qp, std::min(req.ack_deadline, req.silent_until));
}

}  // namespace tideline::rdma
