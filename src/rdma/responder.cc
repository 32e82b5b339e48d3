// SPDX-License-Identifier: Apache-2.0
#include "rdma/responder.h"

#include <algorithm>
#include <optional>

#include "rdma/finish.h"
#include "rdma/outgoing.h"
#include "rdma/transfer.h"
#include "wire/roce.h"

namespace tideline::rdma {

using wire::AethSyndrome;
using wire::RoceExtension;
using wire::RoceKind;

namespace {

using Message = ResponderState::Message;

// One packet's way through the checks. A step that returns false has dealt with the packet.
class Request {
 public:
  Request(Core& core, QueuePair& qp, Incoming& in, Instant now)
      : core_(core), qp_(qp), resp_(qp.responder), in_(in), now_(now) {}

  void run() {
    const bool reliable = qp_.init.type == QpType::kRc;
    if (!(reliable ? check_psn() : check_psn_unreliable())) return;
    if (!check_sequence()) return;
    if (!check_operation()) return;
    if (!check_length()) return;
    if (!check_resources()) return;
    if (!check_key()) return;
    if (!execute()) return;
    advance();
  }

 private:
  RoceKind kind() const { return in_.info().kind; }
  bool is_message() const { return kind() == RoceKind::kSend || kind() == RoceKind::kWrite; }
  bool consumes_receive() const {
    return kind() == RoceKind::kSend || in_.info().has(RoceExtension::kImmediate);
  }

  // 9.7.4.1.2. What overlaps with packets that were received is theirs up to there.
  bool check_psn() {
    const std::int32_t ahead = in_.psn() - resp_.expected_psn;
    if (ahead > 0) return sequence_error();
    if (ahead < 0) {
      const auto behind = static_cast<std::uint32_t>(-ahead);
      if (in_.packets <= behind) {
        duplicate();
        return false;
      }
      core_.counters.add(Counter::kRxDuplicate, behind);
      in_.skip(behind, qp_.mtu);
    }
    resp_.nak_sent = false;
    if (resp_.ack_due && resp_.syndrome != kAckSyndrome) resp_.ack_due = false;  // overtaken
    return true;
  }

  // C9-114: one NAK, until the packet comes that it asks for.
  bool sequence_error() {
    if (resp_.nak_sent) {
      core_.counters.add(Counter::kDropAhead);
      return false;
    }
    core_.counters.add(Counter::kRxSequenceError);
    core_.counters.add(Counter::kNakSequence);
    answer(AethSyndrome::kNakSequence, resp_.expected_psn);
    resp_.nak_sent = true;
    return false;
  }

  // 9.8.2.2.2: a gap loses the message around it; the next that begins is received.
  bool check_psn_unreliable() {
    const bool gap = in_.psn() != resp_.expected_psn;
    if ((gap || resp_.drop_message) && !in_.starts) return drop_message();
    if (gap || resp_.drop_message) {
      if (resp_.message != Message::kNone) core_.counters.add(Counter::kDropMessage);
      resp_.message = Message::kNone;
      resp_.drop_message = false;
    }
    resp_.expected_psn = in_.psn();
    return true;
  }

  // UC: the rest of the message is of no use. A receive request stays for the next.
  bool drop_message() {
    if (!resp_.drop_message || in_.starts) core_.counters.add(Counter::kDropMessage);
    resp_.drop_message = true;
    resp_.message = Message::kNone;
    resp_.expected_psn = in_.psn() + in_.packets;
    return false;
  }

  // Table 44: a message begins, goes on and ends, and no other comes in between.
  bool check_sequence() {
    bool fits = in_.starts == (resp_.message == Message::kNone);
    if (!in_.starts) {
      fits =
          fits && kind() == (resp_.message == Message::kSend ? RoceKind::kSend : RoceKind::kWrite);
    }
    if (fits) return true;
    if (qp_.init.type == QpType::kUc) {
      if (!in_.starts) return drop_message();
      core_.counters.add(Counter::kDropMessage);
      resp_.message = Message::kNone;
      return true;
    }
    return invalid_request();
  }

  // 9.7.4.1.3: the queue pair lets peers do this.
  bool check_operation() {
    Access needed = Access::kNone;
    if (kind() == RoceKind::kWrite) needed = Access::kRemoteWrite;
    if (kind() == RoceKind::kReadRequest) needed = Access::kRemoteRead;
    if (in_.info().is_atomic()) needed = Access::kRemoteAtomic;
    if (allows(qp_.attributes.access, needed)) return true;
    return invalid_request();
  }

  // 9.7.4.1.6.
  bool check_length() {
    if (!in_.is_pad_valid()) return invalid_request();
    const std::uint32_t size = in_.size();
    const bool ends = in_.info().ends;
    if (!is_message()) {
      if (in_.payload_size != 0 ||
          (kind() == RoceKind::kReadRequest && in_.headers.length > kMaxMessage)) {
        return invalid_request();
      }
      return true;
    }
    if (size > qp_.mtu && !in_.is_super) return invalid_request();
    if (!ends && (size % qp_.mtu != 0 || size == 0)) return invalid_request();
    if (!in_.starts && ends && size == 0) return invalid_request();
    if (in_.starts) resp_.received = 0;
    if (kind() == RoceKind::kSend) return true;
    if (in_.starts) {
      resp_.write_address = in_.headers.address;
      resp_.write_rkey = in_.headers.rkey;
      resp_.write_length = in_.headers.length;
    }
    const std::uint64_t end = resp_.received + size;
    const bool fits = ends ? end == resp_.write_length : end < resp_.write_length;
    return (fits && resp_.write_length <= kMaxMessage) || invalid_request();
  }

  // 9.7.4.1.4 and .5: room to remember a READ or an atomic, a receive request for a message.
  bool check_resources() {
    if (kind() == RoceKind::kReadRequest || in_.info().is_atomic()) {
      if (!resp_.replay.empty() && !resp_.replay[resp_.replay_next].pending) return true;
      return invalid_request();
    }
    const bool now = kind() == RoceKind::kSend ? in_.starts : in_.info().ends;
    if (consumes_receive() && now && !take_receive(qp_)) return not_ready();
    if (kind() != RoceKind::kSend) return true;
    if (resp_.received + in_.size() <= resp_.receive.length) return true;
    // 9.7.4.1.6, table 58: our request is too small for the peer's message.
    core_.counters.add(Counter::kNakInvalid);
    return fail(AethSyndrome::kNakInvalidRequest, WcStatus::kLocalLength);
  }

  // C9-...: 9.7.5.2.8. UC loses the message.
  bool not_ready() {
    if (qp_.init.type == QpType::kUc) return drop_message();
    core_.counters.add(Counter::kNakRnr);
    ++qp_.counters.rnr_sent;
    answer(AethSyndrome::kRnr | qp_.attributes.min_rnr_timer, in_.psn());
    resp_.nak_sent = true;  // what follows is not out of sequence, it will come again
    return false;
  }

  // 9.7.4.1.5 (C9-...): the whole range of the message, before its first byte. An operation on
  // nothing needs no key (C9-88).
  bool check_key() {
    if (kind() == RoceKind::kWrite && in_.starts && resp_.write_length > 0) {
      return resolve(resp_.write_rkey, resp_.write_address, resp_.write_length,
                     Access::kRemoteWrite) ||
             access_error();
    }
    if (kind() == RoceKind::kReadRequest && in_.headers.length > 0) {
      return resolve(in_.headers.rkey, in_.headers.address, in_.headers.length,
                     Access::kRemoteRead) ||
             access_error();
    }
    if (!in_.info().is_atomic()) return true;
    if (in_.headers.address % 8 != 0) return invalid_request();
    const auto word = resolve(in_.headers.rkey, in_.headers.address, 8, Access::kRemoteAtomic);
    if (!word) return access_error();
    word_ = *word;
    return word_.address % 8 == 0 || invalid_request();
  }

  std::optional<Resolved> resolve(std::uint32_t rkey, std::uint64_t address, std::uint64_t length,
                                  Access needed) const {
    return core_.regions.remote(rkey, address, length, needed, qp_);
  }

  bool execute() {
    switch (kind()) {
      case RoceKind::kSend:
        return execute_send();
      case RoceKind::kWrite:
        return execute_write();
      case RoceKind::kReadRequest:
        return execute_read();
      case RoceKind::kCompareSwap:
      case RoceKind::kFetchAdd:
        return execute_atomic();
      default:
        return invalid_request();
    }
  }

  bool execute_send() {
    const std::span<const Sge> sges(resp_.receive.sges.data(), resp_.receive.sge_count);
    if (!scatter(core_, *qp_.pd, sges, resp_.received, in_.payload(), in_.size())) {
      core_.counters.add(Counter::kNakOperation);
      return fail(AethSyndrome::kNakRemoteOperation, WcStatus::kLocalProtection);
    }
    resp_.received += in_.size();
    if (!in_.info().ends) return true;
    Received received{.byte_len = static_cast<std::uint32_t>(resp_.received),
                      .solicited = in_.headers.solicited};
    if (in_.info().has(RoceExtension::kInvalidate)) {
      // 9.4.1.1.3 (C9-...): the key is checked after the payload has been placed.
      if (!core_.regions.invalidate(in_.headers.invalidate_key, qp_, true)) {
        core_.counters.add(Counter::kNakAccess);
        return fail(AethSyndrome::kNakRemoteAccess, WcStatus::kRemoteInvalidRequest);
      }
      received.flags = WcFlags::kInvalidated;
      received.immediate = in_.headers.invalidate_key;
    }
    return finish_message(received);
  }

  bool execute_write() {
    if (in_.size() > 0) {
      const auto to = resolve(resp_.write_rkey, resp_.write_address + resp_.received, in_.size(),
                              Access::kRemoteWrite);
      PacketCursor from = in_.payload();
      if (!to || !store_range(core_, *to, from, in_.size())) return access_error();
    }
    resp_.received += in_.size();
    if (!in_.info().ends || !consumes_receive()) return true;
    return finish_message({.opcode = WcOpcode::kReceiveWriteImm,
                           .byte_len = static_cast<std::uint32_t>(resp_.received),
                           .solicited = in_.headers.solicited});
  }

  bool finish_message(Received received) {
    if (in_.info().has(RoceExtension::kImmediate)) {
      received.flags = WcFlags::kImmediate;
      received.immediate = in_.headers.immediate;
    }
    complete_receive(core_, qp_, received, now_);
    return qp_.state != QpState::kErr;
  }

  ReplayEntry& remember(ReplayEntry::Kind entry_kind) {
    ReplayEntry& entry = resp_.replay[resp_.replay_next];
    resp_.replay_next = (resp_.replay_next + 1) % static_cast<std::uint32_t>(resp_.replay.size());
    entry = {.kind = entry_kind, .pending = true, .first_psn = in_.psn(), .msn = resp_.msn + 1};
    ++resp_.replay_pending;
    core_.schedule(qp_);
    return entry;
  }

  bool execute_read() {
    ReplayEntry& entry = remember(ReplayEntry::Kind::kRead);
    entry.address = in_.headers.address;
    entry.rkey = in_.headers.rkey;
    entry.length = in_.headers.length;
    entry.packets = packets_of(entry.length, qp_.mtu);
    entry.end = entry.packets;
    in_.packets = entry.packets;
    return true;
  }

  bool execute_atomic() {
    const auto original =
        kind() == RoceKind::kCompareSwap
            ? word_.memory->compare_swap(word_.address, in_.headers.compare, in_.headers.swap_add)
            : word_.memory->fetch_add(word_.address, in_.headers.swap_add);
    if (!original) return access_error();
    remember(ReplayEntry::Kind::kAtomic).original = *original;
    return true;
  }

  // The packet is done: 9.7.5.1.1 for the acknowledgement, 9.7.7.1 for the message number.
  void advance() {
    resp_.expected_psn = in_.psn() + in_.packets;
    const bool ends = in_.info().ends;
    if (ends) {
      resp_.msn = (resp_.msn + 1) & Psn::kMask;
      ++qp_.counters.messages;
    }
    qp_.counters.message_bytes +=
        kind() == RoceKind::kReadRequest ? in_.headers.length : in_.size();
    if (is_message()) {
      resp_.message = kind() == RoceKind::kSend ? Message::kSend : Message::kWrite;
      if (ends) resp_.message = Message::kNone;
      if (in_.headers.ack_request) answer(kAckSyndrome, resp_.expected_psn - 1);
    }
  }

  // C9-105 ff: what was executed is not executed again, but answered again.
  void duplicate() {
    core_.counters.add(Counter::kRxDuplicate, in_.packets);
    if (is_message()) {
      if (!resp_.nak_sent) answer(kAckSyndrome, resp_.expected_psn - 1);
      return;
    }
    ReplayEntry* entry = find_replay();
    if (entry == nullptr) {
      core_.counters.add(Counter::kDropDuplicate);
      return;
    }
    if (!entry->pending) {
      entry->pending = true;
      ++resp_.replay_pending;
    }
    core_.schedule(qp_);
  }

  // C9-109, C9-110: the same request, or a later part of the same READ.
  ReplayEntry* find_replay() {
    const bool read = kind() == RoceKind::kReadRequest;
    for (ReplayEntry& entry : resp_.replay) {
      const std::int32_t offset = in_.psn() - entry.first_psn;
      if (offset < 0 || offset >= static_cast<std::int32_t>(entry.packets)) continue;
      if (entry.kind != (read ? ReplayEntry::Kind::kRead : ReplayEntry::Kind::kAtomic)) continue;
      if (!read) return in_.info().is_atomic() ? &entry : nullptr;
      const auto skipped = static_cast<std::uint32_t>(offset);
      const std::uint64_t bytes = std::uint64_t{skipped} * qp_.mtu;
      const std::uint32_t count = packets_of(in_.headers.length, qp_.mtu);
      if (in_.headers.rkey != entry.rkey || in_.headers.address != entry.address + bytes ||
          in_.headers.length > entry.length - std::min<std::uint64_t>(bytes, entry.length) ||
          skipped + count > entry.packets) {
        return nullptr;
      }
      entry.begin = entry.next = skipped;
      entry.end = skipped + count;
      return &entry;
    }
    return nullptr;
  }

  void answer(std::uint8_t syndrome, Psn psn) {
    resp_.ack_due = true;
    resp_.syndrome = syndrome;
    resp_.ack_psn = psn;
    core_.schedule(qp_);
  }

  bool invalid_request() {
    if (qp_.init.type == QpType::kUc) return drop_message();
    core_.counters.add(Counter::kNakInvalid);
    return fail(AethSyndrome::kNakInvalidRequest, WcStatus::kRemoteInvalidRequest);
  }

  bool access_error() {
    if (qp_.init.type == QpType::kUc) return drop_message();
    core_.counters.add(Counter::kNakAccess);
    return fail(AethSyndrome::kNakRemoteAccess, WcStatus::kRemoteAccess);
  }

  // Classes A and C of 9.9.3.1: the peer is told, the receive request in hand says why, the rest is
  // flushed. Without one, an event says it (11.6.3.2).
  bool fail(std::uint8_t syndrome, WcStatus status) {
    if (qp_.init.type == QpType::kRc) answer(syndrome, in_.psn());
    if (resp_.has_receive) {
      complete_receive(core_, qp_, {.status = status, .vendor_error = syndrome}, now_);
    } else {
      raise(qp_, status == WcStatus::kRemoteAccess ? EventType::kQpAccessError
                                                   : EventType::kQpRequestError);
    }
    enter_error(core_, qp_, now_);
    return false;
  }

  Core& core_;
  QueuePair& qp_;
  ResponderState& resp_;
  Incoming& in_;
  Instant now_;
  Resolved word_;  // of an atomic
};

}  // namespace

bool take_receive(QueuePair& qp) {
  ResponderState& resp = qp.responder;
  if (resp.has_receive) return true;
  SharedReceiveQueue* srq = qp.init.srq;
  ReceiveQueue& queue = srq != nullptr ? srq->queue : qp.receive_queue;
  queue.refill();
  resp.has_receive = queue.take(resp.receive);
  // 10.2.9.2: the limit is armed for one event.
  if (srq != nullptr && srq->limit > 0 && srq->queue.size() < srq->limit) {
    srq->limit = 0;
    qp.pd->context.sink().asynchronous({.type = EventType::kSrqLimitReached, .srq = srq});
  }
  return resp.has_receive;
}

// 9.7.7.2: by the last acknowledgement once more.
void tell_credits(Core& core, QueuePair& qp) {
  ResponderState& resp = qp.responder;
  if (!resp.told_none || resp.ack_due) return;
  resp.told_none = false;
  resp.ack_due = true;
  resp.syndrome = kAckSyndrome;
  resp.ack_psn = resp.expected_psn - 1;
  core.schedule(qp);
}

void receive_request(Core& core, QueuePair& qp, Incoming& in, Instant now) {
  Request(core, qp, in, now).run();
}

}  // namespace tideline::rdma
