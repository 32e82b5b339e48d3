// SPDX-License-Identifier: Apache-2.0
// The responder's sending side: READ responses, atomic responses, acknowledgements.
#include <algorithm>
#include <utility>

#include "rdma/credits.h"
#include "rdma/finish.h"
#include "rdma/outgoing.h"
#include "rdma/responder.h"
#include "rdma/transfer.h"
#include "wire/roce.h"

namespace tideline::rdma {

using wire::AethSyndrome;
using wire::RoceKind;
using wire::RoceService;

namespace {

class Reply {
 public:
  Reply(Core& core, QueuePair& qp, Instant now)
      : core_(core), qp_(qp), resp_(qp.responder), now_(now) {}

  Sending run() {
    if (resp_.replay_pending > 0) {
      ReplayEntry& entry = oldest_pending();
      return entry.kind == ReplayEntry::Kind::kRead ? read_response(entry) : atomic_response(entry);
    }
    return resp_.ack_due ? acknowledge() : Sending::kIdle;
  }

 private:
  // Entries are used in turns: the one after the last that was used is the oldest.
  ReplayEntry& oldest_pending() {
    const auto count = static_cast<std::uint32_t>(resp_.replay.size());
    for (std::uint32_t i = 0; i < count; ++i) {
      ReplayEntry& entry = resp_.replay[(resp_.replay_next + i) % count];
      if (entry.pending) return entry;
    }
    CHECK(false, "{} replies pending", resp_.replay_pending);
  }

  void done(ReplayEntry& entry) {
    entry.pending = false;
    --resp_.replay_pending;
  }

  // 9.7.7.2: the request that a message has taken is still one of those for it. A shared receive
  // queue may be emptied by others, so it gives no credits.
  std::uint8_t ack_syndrome() {
    if (qp_.init.srq != nullptr) return kAckSyndrome;
    const std::uint32_t count = qp_.receive_queue.size() + (resp_.has_receive ? 1 : 0);
    resp_.told_none = count == 0;
    return syndrome_of_credits(count);
  }

  wire::Roce headers(RoceKind kind, bool starts, bool ends, Psn psn, std::uint8_t syndrome,
                     std::uint32_t msn) const {
    return {.opcode = wire::find_roce_opcode(RoceService::kRc, kind, starts, ends).code,
            .qp = qp_.attributes.destination_qpn,
            .psn = psn.value(),
            .syndrome = syndrome,
            .msn = msn & Psn::kMask};
  }

  Sending send(Outgoing outgoing) {
    send_packet(core_, std::move(outgoing), qp_.route, qp_.mtu, now_);
    return Sending::kSent;
  }

  // 9.7.5.1.6. The key is looked at again, for the region may be gone by now.
  Sending read_response(ReplayEntry& entry) {
    const std::uint32_t count = std::min(entry.end - entry.next, packets_per_frame(core_, qp_.mtu));
    const bool starts = entry.next == entry.begin;
    const bool ends = entry.next + count == entry.end;
    const std::uint32_t begin = entry.next * qp_.mtu;
    const std::uint32_t size = std::min(count * qp_.mtu, entry.length - begin);
    const Psn psn = entry.first_psn + entry.next;
    Outgoing outgoing = make_packet(
        core_, headers(RoceKind::kReadResponse, starts, ends, psn, ack_syndrome(), entry.msn),
        size);
    if (!outgoing) return Sending::kNoBuffer;
    if (size > 0 && !load(entry, begin, size, outgoing)) {
      outgoing.packet.reset();
      return access_error(psn);
    }
    entry.next += count;
    if (ends) done(entry);
    return send(std::move(outgoing));
  }

  bool load(const ReplayEntry& entry, std::uint32_t begin, std::uint32_t size,
            Outgoing& outgoing) const {
    const auto from =
        core_.regions.remote(entry.rkey, entry.address + begin, size, Access::kRemoteRead, qp_);
    PacketCursor to = outgoing.payload();
    return from && load_range(core_, *from, to, size);
  }

  Sending access_error(Psn psn) {
    core_.counters.add(Counter::kNakAccess);
    resp_.ack_due = true;
    resp_.syndrome = AethSyndrome::kNakRemoteAccess;
    resp_.ack_psn = psn;
    raise(qp_, EventType::kQpAccessError);
    enter_error(core_, qp_, now_);
    return acknowledge();
  }

  Sending atomic_response(ReplayEntry& entry) {
    wire::Roce reply =
        headers(RoceKind::kAtomicAck, true, true, entry.first_psn, ack_syndrome(), entry.msn);
    reply.original = entry.original;
    Outgoing outgoing = make_packet(core_, reply, 0);
    if (!outgoing) return Sending::kNoBuffer;
    done(entry);
    return send(std::move(outgoing));
  }

  Sending acknowledge() {
    const std::uint8_t syndrome = resp_.syndrome == kAckSyndrome ? ack_syndrome() : resp_.syndrome;
    Outgoing outgoing = make_packet(
        core_, headers(RoceKind::kAck, true, true, resp_.ack_psn, syndrome, resp_.msn), 0);
    if (!outgoing) return Sending::kNoBuffer;
    resp_.ack_due = false;
    return send(std::move(outgoing));
  }

  Core& core_;
  QueuePair& qp_;
  ResponderState& resp_;
  Instant now_;
};

}  // namespace

Sending send_response(Core& core, QueuePair& qp, Instant now) { return Reply(core, qp, now).run(); }

}  // namespace tideline::rdma
