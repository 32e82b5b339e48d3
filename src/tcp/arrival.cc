// SPDX-License-Identifier: Apache-2.0
#include "tcp/arrival.h"

#include <algorithm>

#include "tcp/bbr_flow.h"
#include "tcp/ecn.h"
#include "tcp/fast_open.h"
#include "tcp/figures.h"
#include "tcp/handshake.h"
#include "tcp/receiver.h"
#include "tcp/recovery.h"
#include "tcp/sender.h"
#include "tcp/transmit.h"

namespace tideline::tcp {
namespace {

enum class Verdict : std::uint8_t { kContinue, kDone };

// First: the sequence number.
Verdict check_sequence(Core& core, Tcb& tcb, Segment& segment, Instant now) {
  // A SYN again means that our SYN-ACK was lost; one with ACK, that both ends have opened.
  const bool answers = tcb.state == State::kSynReceived || tcb.syn_ack_owed;
  if (answers && segment.has(wire::kTcpSyn) && segment.seq == tcb.irs &&
      !segment.has(wire::kTcpAck)) {
    note_repeated_syn(tcb, segment);
    send_syn(core, tcb, now);
    return Verdict::kDone;
  }
  const bool crossed = tcb.state == State::kSynReceived && segment.has(wire::kTcpSyn) &&
                       segment.seq == tcb.irs && tcb.is_active;
  if (crossed || is_acceptable(core, tcb, segment, now)) return Verdict::kContinue;
  // The FIN again: our ACK was lost, and the wait begins anew (eighth).
  if (tcb.state == State::kTimeWait && segment.has(wire::kTcpFin)) enter_time_wait(core, tcb, now);
  return Verdict::kDone;
}

// Second: RST. RFC 5961 §3.2.
Verdict check_rst(Core& core, Tcb& tcb, const Segment& segment, Instant now) {
  if (!segment.has(wire::kTcpRst)) return Verdict::kContinue;
  if (segment.seq != tcb.rcv_nxt) {
    core.counters.count(Discard::kRstChallenged);
    send_challenge(core, tcb, now);
    return Verdict::kDone;
  }
  switch (tcb.state) {
    case State::kSynReceived:
      finish(core, tcb, tcb.is_active ? End::kRefused : End::kReset, now);
      break;
    case State::kEstablished:
    case State::kFinWait1:
    case State::kFinWait2:
    case State::kCloseWait:
      finish(core, tcb, End::kReset, now);
      break;
    case State::kClosing:
    case State::kLastAck:
      // All data of both sides has been sent; the peer may not have ours.
      finish(core, tcb, tcb.closed_by_owner ? End::kFinished : End::kReset, now);
      break;
    case State::kTimeWait:
      // RFC 1337: an old segment may have drawn the acknowledgment that this answers. Not if it was
      // a SYN: its sender, a peer that began anew and knows our connection no more, waits for us.
      if (tcb.syn_declined) {
        finish(core, tcb, End::kFinished, now);
      } else {
        core.counters.count(Discard::kTimeWaitRst);
      }
      break;
    case State::kClosed:
    case State::kSynSent:
      break;
  }
  return Verdict::kDone;
}

// Fourth: SYN. RFC 5961 §4.2.
Verdict check_syn(Core& core, Tcb& tcb, Segment& segment, Instant now) {
  if (!segment.has(wire::kTcpSyn)) return Verdict::kContinue;
  if (tcb.state == State::kSynReceived && segment.seq == tcb.irs && tcb.is_active) {
    // Both have opened. The peer waits for an acknowledgment, should our SYN-ACK be lost; and its
    // SYN has come twice (RFC 2883 §4).
    tcb.ack_now = true;
    if (tcb.sack_on) tcb.dsack = {tcb.irs.value(), (tcb.irs + 1).value()};
    segment.flags &= static_cast<std::uint16_t>(~wire::kTcpSyn);
    segment.seq += 1;
    return Verdict::kContinue;
  }
  core.counters.count(Discard::kSynChallenged);
  send_challenge(core, tcb, now);
  return Verdict::kDone;
}

void update_window(Core& core, Tcb& tcb, const Segment& segment, Instant now) {
  const bool newer =
      segment.seq > tcb.snd_wl1 || (segment.seq == tcb.snd_wl1 && segment.ack >= tcb.snd_wl2);
  if (!newer) return;
  const std::uint32_t before = tcb.snd_wnd;
  tcb.snd_wnd = std::uint32_t{segment.window} << tcb.snd_wscale;
  tcb.max_snd_wnd = std::max(tcb.max_snd_wnd, tcb.snd_wnd);
  tcb.snd_wl1 = segment.seq;
  tcb.snd_wl2 = segment.ack;
  if (tcb.snd_wnd <= before) return;
  if (tcb.retransmit_mode == RetransmitMode::kPersist) {
    tcb.retransmit_mode = RetransmitMode::kNone;
    tcb.backoff = tcb.retries = 0;
    disarm(tcb, Timer::kRetransmit);
  } else if (before == 0 && tcb.outstanding() > 0 && tcb.retries > 0) {
    // It had shrunk to nothing: what has come meanwhile was dropped, and goes again now.
    resend_everything(core, tcb);
    tcb.backoff = tcb.retries = 0;
    restart_retransmit_timer(core, tcb, now);
  }
}

void hear_of_marks(Tcb& tcb, const Segment& segment, const AckSummary& summary, Instant now) {
  const bool accurate = has_accurate_ecn(tcb);
  const bool echo = !accurate && segment.has(wire::kTcpEce);
  const std::uint32_t marked =
      accurate ? read_ecn_feedback(tcb, segment, summary.delivered) : (echo ? summary.acked : 0);
  tcb.control->echoed(
      tcb.congestion,
      {.acked = summary.acked, .marked = marked, .una = tcb.snd_una, .nxt = tcb.snd_nxt});
  if (echo) incidents_of(tcb).marked += summary.segments;
  if (echo || marked > 0) see_congestion(tcb, Signal::kMark, now);
}

// What an acceptable acknowledgment means in every state after SYN-RECEIVED.
void take_acknowledgment(Core& core, Tcb& tcb, const Segment& segment, Instant now) {
  const std::uint32_t window = std::uint32_t{segment.window} << tcb.snd_wscale;
  const bool duplicate = segment.ack == tcb.snd_una && segment.size == 0 && tcb.outstanding() > 0 &&
                         window == tcb.snd_wnd && !segment.has(wire::kTcpFin);
  bbr_before_ack(tcb);
  AckSummary summary = scan_acknowledgment(core, tcb, segment, now);
  summary.duplicate = duplicate;
  if (summary.delivered > 0) note_delivery(tcb, now);
  update_window(core, tcb, segment, now);
  if (tcb.ecn_on || has_accurate_ecn(tcb)) hear_of_marks(tcb, segment, summary, now);
  const bool news = summary.acked > 0 || summary.sacked > 0 || duplicate || summary.dsack;
  if (news) react(core, tcb, segment, summary);
  bbr_acked(tcb, summary);
  if (summary.acked > 0) {
    tcb.more_to_come = false;
    note_answer(tcb, now);
    tcb.retries = 0;
    tcb.progress_at = now;
    tcb.soft_error = End::kNone;
    restart_retransmit_timer(core, tcb, now);
    release_acknowledged(core, tcb);
    core.network.confirm(tcb.tuple.remote.address, now);
  } else if (summary.sacked > 0 && tcb.retransmit_mode == RetransmitMode::kTailProbe) {
    continue_retransmit_timer(core, tcb, now);
  }
}

// Fifth: ACK.
Verdict check_ack(Core& core, Tcb& tcb, Segment& segment, Instant now) {
  if (!segment.has(wire::kTcpAck)) {
    core.counters.count(Discard::kNoAck);
    return Verdict::kDone;
  }
  if (tcb.state == State::kSynReceived) {
    if (segment.ack <= tcb.snd_una || segment.ack > tcb.snd_nxt) {
      core.counters.count(Discard::kAckUnacceptable);
      answer_with_reset(core, segment, now);
      return Verdict::kDone;
    }
    if (!establish(core, tcb, segment, now)) return Verdict::kDone;
  }
  if (tcb.syn_ack_owed && segment.ack > tcb.iss && segment.ack <= tcb.snd_nxt) {
    settle_fast_open(core, tcb, now);
  }
  // RFC 5961 §5.2.
  const bool ancient = segment.ack < tcb.snd_una && tcb.snd_una - segment.ack > tcb.max_snd_wnd;
  if (segment.ack > tcb.snd_nxt || ancient) {
    core.counters.count(Discard::kAckUnacceptable);
    send_challenge(core, tcb, now);
    return Verdict::kDone;
  }
  // One that was overtaken may still tell what else has arrived.
  const bool sacks = tcb.sack_on && segment.options.sack_count > 0;
  if (segment.ack >= tcb.snd_una || sacks) take_acknowledgment(core, tcb, segment, now);
  const bool fin_acknowledged = tcb.fin_sent && tcb.snd_una == tcb.snd_nxt;
  switch (tcb.state) {
    case State::kEstablished:
    case State::kCloseWait:
    case State::kFinWait2:
      break;
    case State::kFinWait1:
      if (!fin_acknowledged) break;
      set_state(core, tcb, State::kFinWait2, now);
      if (tcb.closed_by_owner) arm(core, tcb, Timer::kLife, now + core.config.fin_wait2);
      break;
    case State::kClosing:
      if (!fin_acknowledged) return Verdict::kDone;
      enter_time_wait(core, tcb, now);
      return Verdict::kDone;
    case State::kLastAck:
      if (!fin_acknowledged) return Verdict::kDone;
      finish(core, tcb, End::kFinished, now);
      return Verdict::kDone;
    case State::kTimeWait:
    case State::kClosed:
    case State::kSynSent:
    case State::kSynReceived:
      break;
  }
  return Verdict::kContinue;
}

// Sixth: URG, of a segment that began at `begin`. The pointer is to the byte behind the urgent one,
// as all senders have it (RFC 6093 §3.1), and is heeded if that has not yet come.
void check_urg(Tcb& tcb, const Segment& segment, Seq begin) {
  if (!segment.has(wire::kTcpUrg) || tcb.fin_received || tcb.attachment.receive == nullptr) return;
  const Seq byte = begin + (segment.urgent > 0 ? segment.urgent - 1U : 0U);
  if (byte < tcb.rcv_nxt || (tcb.is_rcv_up_known && byte <= tcb.rcv_up)) return;
  tcb.rcv_up = byte;
  tcb.is_rcv_up_known = true;
  tcb.attachment.receive->mark_urgent(tcb.rcv_offset + (byte - tcb.rcv_nxt));
  tcb.events.readable = true;
}

// Seventh: the payload.
Verdict check_text(Core& core, Tcb& tcb, Segment& segment, Instant now) {
  switch (tcb.state) {
    case State::kEstablished:
    case State::kFinWait1:
    case State::kFinWait2:
      break;
    default:
      return Verdict::kContinue;  // the peer has sent its FIN
  }
  // RFC 1122 §4.2.2.13: nobody will read it, and the peer should know.
  if (tcb.closed_by_owner && segment.size > 0) {
    core.counters.count(Discard::kAfterClose);
    // From where the peer has come to, which is the only place where it takes a RST at once.
    answer_with_reset(core, segment, now);
    finish(core, tcb, End::kAborted, now);
    return Verdict::kDone;
  }
  if (tcb.ecn_on) see_mark(core, tcb, segment, now);
  process_text(core, tcb, segment, now);
  return Verdict::kContinue;
}

// Eighth: FIN, now or behind a hole that has been filled.
void check_fin(Core& core, Tcb& tcb, const Segment& segment, Seq fin_seq, Instant now) {
  if (segment.has(wire::kTcpFin) && !tcb.fin_received) {
    tcb.fin_known = true;
    tcb.fin_seq = fin_seq;
    // RFC 5681 §4.2: behind a hole, it is acknowledged at once, as text is that came with it.
    if (segment.size == 0 && fin_seq > tcb.rcv_nxt) send_ack(core, tcb, now);
  }
  if (!tcb.fin_known || tcb.fin_received || tcb.rcv_nxt != tcb.fin_seq) return;
  process_fin(core, tcb, now);
  switch (tcb.state) {
    case State::kEstablished:
      set_state(core, tcb, State::kCloseWait, now);
      break;
    case State::kFinWait1:
      set_state(core, tcb, State::kClosing, now);
      break;
    case State::kFinWait2:
      // The ACK goes before the owner hears of the end.
      send_ack(core, tcb, now);
      enter_time_wait(core, tcb, now);
      break;
    case State::kClosed:
    case State::kSynSent:
    case State::kSynReceived:
    case State::kCloseWait:
    case State::kClosing:
    case State::kLastAck:
    case State::kTimeWait:
      break;
  }
}

// RFC 7323 §4.3: the timestamp to echo is that of the segment at the left edge.
void take_timestamp(Tcb& tcb, const Segment& segment, Instant now) {
  if (!tcb.timestamps_on || !segment.options.timestamps) return;
  const std::uint32_t value = segment.options.timestamps->value;
  if (segment.seq > tcb.last_ack_sent) return;
  if (static_cast<std::int32_t>(value - tcb.ts_recent) < 0 &&
      now - tcb.ts_recent_at < std::chrono::hours(24 * 24)) {
    return;
  }
  tcb.ts_recent = value;
  tcb.ts_recent_at = now;
}

// RFC 9293 §3.10.7.4.
void synchronized_arrives(Core& core, Tcb& tcb, Segment& segment, Instant now) {
  if (check_sequence(core, tcb, segment, now) == Verdict::kDone) return;  // first
  if (check_rst(core, tcb, segment, now) == Verdict::kDone) return;       // second
  // Third, security: there are no compartments.
  if (check_syn(core, tcb, segment, now) == Verdict::kDone) return;  // fourth
  count_ecn(tcb, segment);
  if (check_ack(core, tcb, segment, now) == Verdict::kDone) return;  // fifth
  take_timestamp(tcb, segment, now);
  const bool had_fin = segment.has(wire::kTcpFin);
  const Seq begin = segment.seq;
  const Seq fin_seq = segment.end() - (had_fin ? 1 : 0);
  trim_to_window(core, tcb, segment);
  check_urg(tcb, segment, begin);                                     // sixth
  if (check_text(core, tcb, segment, now) == Verdict::kDone) return;  // seventh
  check_fin(core, tcb, segment, fin_seq, now);                        // eighth
}

}  // namespace

void segment_arrives(Core& core, Tcb& tcb, Segment& segment, Instant now) {
  const std::uint32_t segments = segment.count();
  tcb.segments_in += segments;
  if (segment.size > 0) tcb.data_segments_in += segments;
  tcb.ect_seen |= segment.ecn != 0;
  tcb.last_received = now;
  tcb.keepalives = 0;
  if (tcb.state == State::kSynSent) {
    syn_sent_arrives(core, tcb, segment, now);
  } else {
    synchronized_arrives(core, tcb, segment, now);
  }
  mark_pending(core, tcb);
}

}  // namespace tideline::tcp
