// SPDX-License-Identifier: Apache-2.0
#include "rdma/completer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include "rdma/credits.h"
#include "rdma/finish.h"
#include "rdma/outgoing.h"
#include "rdma/requester.h"
#include "rdma/transfer.h"
#include "wire/roce.h"

namespace tideline::rdma {

using wire::AethSyndrome;
using wire::RoceExtension;
using wire::RoceKind;

namespace {

bool expects_response(const SendWqe& wqe) {
  const SendOpcode opcode = wqe.request.opcode;
  return opcode == SendOpcode::kRead || opcode == SendOpcode::kCompareSwap ||
         opcode == SendOpcode::kFetchAdd;
}

class Response {
 public:
  Response(Core& core, QueuePair& qp, Incoming& in, Instant now)
      : core_(core), qp_(qp), req_(qp.requester), queue_(qp.send_queue), in_(in), now_(now) {}

  void run() {
    if (!check_psn()) return;
    take_credits();
    switch (in_.info().kind) {
      case RoceKind::kAck:
        acknowledge();
        return;
      case RoceKind::kReadResponse:
        read_response();
        return;
      case RoceKind::kAtomicAck:
        atomic_response();
        return;
      default:
        core_.counters.add(Counter::kDropResponse);
    }
  }

 private:
  void drop(Counter counter) { core_.counters.add(counter); }

  // 9.7.5.1.1: outside of what is outstanding, a response is a ghost: an old duplicate, or about
  // packets that were never sent.
  bool check_psn() {
    if (in_.psn() >= req_.una && in_.psn() + in_.packets <= req_.sent_psn) return true;
    // Its last acknowledgement once more, because it has credits again.
    if (in_.psn() + 1 == req_.una && take_credits()) return false;
    drop(Counter::kDropAckStale);
    if (in_.psn() < req_.una) wait_longer();
    return false;
  }

  // 9.7.7.2: the peer has executed messages up to its MSN, and has room for so many more. Whether
  // that is news. Credits are not taken back: what says less is old, or was rounded down.
  bool take_credits() {
    const std::uint8_t syndrome = in_.headers.syndrome;
    const bool has = in_.info().has(RoceExtension::kAeth) &&
                     (syndrome & AethSyndrome::kKindMask) == AethSyndrome::kAck;
    if (!has) return false;
    const std::uint8_t code = syndrome & AethSyndrome::kValueMask;
    std::optional<Psn> limit;
    if (code != AethSyndrome::kNoCredits) limit = Psn(in_.headers.msn) + kCredits.at(code);
    const bool is_news = req_.limit && (!limit || *limit > *req_.limit);
    if (!req_.limit || is_news) req_.limit = limit;
    if (is_news) core_.schedule(qp_);
    return is_news;
  }

  // Table 46.
  void acknowledge() {
    const std::uint8_t syndrome = in_.headers.syndrome;
    const std::uint8_t value = syndrome & AethSyndrome::kValueMask;
    switch (syndrome & AethSyndrome::kKindMask) {
      case AethSyndrome::kAck:
        if (!acknowledge_until(in_.psn() + 1)) response_lost();
        return;
      case AethSyndrome::kRnr:
        if (!acknowledge_until(in_.psn())) {
          response_lost();
        } else if (is_alive()) {
          not_ready(value);
        }
        return;
      case AethSyndrome::kNak:
        negative(syndrome);
        return;
      default:
        drop(Counter::kDropSyndrome);
    }
  }

  // Everything before `end` has arrived: C9-111. False if a READ or an atomic among it still lacks
  // its response, which was lost then (C9-118).
  bool acknowledge_until(Psn end) {
    bool complete = true;
    for (std::uint32_t at = queue_.head(); at != queue_.tail(); ++at) {
      SendWqe& wqe = queue_.at(at);
      if (!wqe.started || wqe.first_psn >= end) break;
      if (wqe.finished) continue;
      const Psn behind = wqe.first_psn + wqe.packets;
      if (expects_response(wqe)) {
        complete = false;
        end = std::max(req_.una, wqe.first_psn);
        break;
      }
      if (behind > end) break;
      wqe.finished = true;
    }
    progress(end);
    return complete;
  }

  // Completing older requests may have failed.
  bool is_alive() const { return qp_.state != QpState::kErr; }

  // 9.7.5.1.3, C9-141 ff: whoever makes progress has all its retries again.
  void progress(Psn una) {
    if (una > req_.una) {
      req_.una = una;
      req_.retries_left = qp_.attributes.retry_count;
      req_.rnr_left = qp_.attributes.rnr_retry;
      req_.went_back = false;
      req_.patience_end = kNever;
      // Acknowledged in the midst of being sent again.
      if (req_.cursor_psn < una) go_back(core_, qp_);
      restart_ack_timer(core_, qp_, now_);
      core_.schedule(qp_);
    }
    retire(core_, qp_, now_);
  }

  // It is asked for again; once only, until something has got through: the responses that are still
  // on their way would each cause another copy.
  void response_lost() {
    if (!is_alive()) return;
    if (req_.went_back) {
      wait_longer();
      return;
    }
    req_.went_back = true;
    retry();
  }

  // A peer answers in order. While it is busy with what we have sent before we went back, it has
  // not come to what we have sent since: not a reason to send that once more, which a slow peer
  // would have to answer, too, and be slower still.
  // But a peer that answers old requests only must not be waited for without end.
  void wait_longer() {
    constexpr int kTimeouts = 16;
    if (req_.patience_end == kNever) req_.patience_end = now_ + kTimeouts * qp_.ack_timeout;
    if (is_silent() || now_ >= req_.patience_end) return;
    restart_ack_timer(core_, qp_, now_);
  }

  void retry() {
    if (req_.retries_left == 0) {
      core_.counters.add(Counter::kRetryExceeded);
      fail_oldest(core_, qp_, WcStatus::kRetryExceeded, 0, now_);
      return;
    }
    --req_.retries_left;
    req_.patience_end = kNever;
    go_back(core_, qp_);
    restart_ack_timer(core_, qp_, now_);
  }

  // 9.7.5.2.8: the peer has no receive request; it says how long to be silent. 7 is for ever.
  void not_ready(std::uint8_t timer) {
    core_.counters.add(Counter::kRxRnr);
    ++qp_.counters.rnr_received;
    constexpr std::uint8_t kForEver = 7;
    if (qp_.attributes.rnr_retry != kForEver) {
      if (req_.rnr_left == 0) {
        core_.counters.add(Counter::kRnrRetryExceeded);
        fail_oldest(core_, qp_, WcStatus::kRnrRetryExceeded, in_.headers.syndrome, now_);
        return;
      }
      --req_.rnr_left;
    }
    go_back(core_, qp_);
    req_.ack_deadline = kNever;
    req_.silent_until = now_ + rnr_delay(timer);
    core_.set_timer(qp_, req_.silent_until);
  }

  // Told to wait: all that is not acknowledged is sent again afterwards. A responder that was not
  // ready for the first packet of a message may complain about the next ones too (Linux's rdma_rxe
  // does), which is no reason to use up a retry.
  bool is_silent() const { return req_.silent_until != kNever; }

  // Table 47.
  void negative(std::uint8_t syndrome) {
    WcStatus status = WcStatus::kSuccess;
    switch (syndrome) {
      case AethSyndrome::kNakSequence:
        core_.counters.add(Counter::kRxNakSequence);
        if (!acknowledge_until(in_.psn())) {
          response_lost();
        } else if (is_alive() && !is_silent()) {
          retry();
        }
        return;
      case AethSyndrome::kNakInvalidRequest:
        status = WcStatus::kRemoteInvalidRequest;
        break;
      case AethSyndrome::kNakRemoteAccess:
        status = WcStatus::kRemoteAccess;
        break;
      case AethSyndrome::kNakRemoteOperation:
        status = WcStatus::kRemoteOperation;
        break;
      default:
        drop(Counter::kDropSyndrome);
        return;
    }
    fail_request(status, syndrome);
  }

  // What was before the packet in question is acknowledged, but READs among it are lost: the
  // responder has given up.
  void fail_request(WcStatus status, std::uint8_t syndrome) {
    acknowledge_until(in_.psn());
    if (is_alive()) fail_oldest(core_, qp_, status, syndrome, now_);
  }

  // The oldest request without its answer.
  SendWqe* oldest() {
    for (std::uint32_t at = queue_.head(); at != queue_.tail(); ++at) {
      if (!queue_.at(at).finished) return &queue_.at(at);
    }
    return nullptr;
  }

  // A response acknowledges what came before its request. Then the oldest must be that request.
  SendWqe* answered(bool atomic) {
    SendWqe* wqe = oldest();
    while (wqe != nullptr && wqe->started && !expects_response(*wqe) &&
           wqe->first_psn + wqe->packets <= in_.psn()) {
      acknowledge_until(wqe->first_psn + wqe->packets);
      if (!is_alive()) return nullptr;
      wqe = oldest();
    }
    if (wqe == nullptr || !wqe->started) return nullptr;
    if (in_.psn() > req_.una) {
      response_lost();
      return nullptr;
    }
    const bool fits =
        expects_response(*wqe) && atomic == (wqe->request.opcode != SendOpcode::kRead) &&
        in_.psn() >= wqe->first_psn && in_.psn() + in_.packets <= wqe->first_psn + wqe->packets;
    if (fits) return wqe;
    drop(Counter::kDropResponse);
    return nullptr;
  }

  // 9.7.5.1.6 and C9-122 ff: lengths must be those that were asked for.
  void read_response() {
    SendWqe* wqe = answered(false);
    if (wqe == nullptr) return;
    const auto offset = static_cast<std::uint32_t>(in_.psn() - wqe->first_psn);
    const bool last = offset + in_.packets == wqe->packets;
    const std::uint32_t begin = offset * qp_.mtu;
    const std::uint32_t expected = last ? wqe->length - begin : in_.packets * qp_.mtu;
    if (!in_.is_pad_valid() || in_.size() != expected || in_.info().ends != last) {
      fail_oldest(core_, qp_, WcStatus::kBadResponse, 0, now_);
      return;
    }
    if (!scatter(core_, *qp_.pd, wqe->request.sges, begin, in_.payload(), in_.size())) {
      fail_oldest(core_, qp_, WcStatus::kLocalProtection, 0, now_);
      return;
    }
    if (last) finish_answered(*wqe);
    progress(in_.psn() + in_.packets);
  }

  void atomic_response() {
    SendWqe* wqe = answered(true);
    if (wqe == nullptr) return;
    const auto original = std::bit_cast<std::array<std::byte, 8>>(in_.headers.original);
    if (!scatter_bytes(core_, *qp_.pd, wqe->request.sges, 0, original)) {
      fail_oldest(core_, qp_, WcStatus::kLocalProtection, 0, now_);
      return;
    }
    finish_answered(*wqe);
    progress(in_.psn() + 1);
  }

  void finish_answered(SendWqe& wqe) {
    wqe.finished = true;
    // Unless we are on the way to ask for it again.
    const bool asked = wqe.first_psn + wqe.packets <= req_.cursor_psn;
    if (asked && req_.reads_in_flight > 0) --req_.reads_in_flight;
  }

  Core& core_;
  QueuePair& qp_;
  RequesterState& req_;
  SendQueue& queue_;
  Incoming& in_;
  Instant now_;
};

}  // namespace

void receive_response(Core& core, QueuePair& qp, Incoming& in, Instant now) {
  Response(core, qp, in, now).run();
}

}  // namespace tideline::rdma
