// SPDX-License-Identifier: Apache-2.0
// The recovery states, and the congestion window in each:
//
//            something sacked                lost
//     OPEN ------------------> DISORDER ------------> RECOVERY ---.
//      ^ ^ `--- ECE ---> CWR ----------------------------^  |     | high_seq acknowledged,
//      | `------------------'---------------------------------'   | or undone
//      `---------------- LOSS <------- time-out, from any --------'
#include "tcp/recovery.h"

#include <algorithm>

#include "tcp/bbr_flow.h"
#include "tcp/mtu_probe.h"

namespace tideline::tcp {
namespace {

// A state of a lower rank, with the scoreboard to decide which.
void calm_down(Tcb& tcb) {
  const bool disorder = tcb.scoreboard.sacked() > 0 || tcb.dup_acks > 0;
  tcb.recovery = disorder ? RecoveryState::kDisorder : RecoveryState::kOpen;
}

// RFC 6582 §3.2, step 2: what was sent again for nothing draws duplicates of an acknowledgment that
// goes no further than the recovery did.
void ignore_late_duplicates(Tcb& tcb) {
  tcb.dup_acks_idle = !tcb.sack_on && tcb.snd_una == tcb.high_seq;
}

void prepare_reduction(Tcb& tcb) {
  tcb.undo_cwnd = tcb.congestion.cwnd;
  tcb.undo_ssthresh = tcb.congestion.ssthresh;
  tcb.snd_cwr = tcb.ecn_on && !tcb.ecn_unmarked;
}

void reduce(Tcb& tcb) {
  prepare_reduction(tcb);
  tcb.congestion.ssthresh = tcb.control->reduce(tcb.congestion, tcb.outstanding(), tcb.mss);
}

// Once for a window, be it for marks or for losses; but what DCTCP does for a mark is less than
// what a loss asks for: RFC 8257 §3.5.
bool must_reduce_for_loss(const Tcb& tcb) {
  if (tcb.recovery < RecoveryState::kCwr) return true;
  return tcb.recovery == RecoveryState::kCwr &&
         tcb.options.congestion == CongestionAlgorithm::kDctcp;
}

void arm_undo(Tcb& tcb) {
  tcb.undo_armed = true;
  tcb.undo_resent = false;
  tcb.undo_retransmitted = 0;
  tcb.retransmit_stamp = 0;
}

// Without SACK, only the first segment is known to be missing: RFC 6582 §3.2.
void mark_first_segment_lost(Core& core, Tcb& tcb, Instant now) {
  Scoreboard& board = tcb.scoreboard;
  if (board.empty() || board.first()->lost) return;
  Range& first = *board.first();
  const std::uint32_t segment = std::max(tcb.mss, first.segment);
  if (first.size() > segment) board.split(core.ranges, first, first.begin + segment);
  mark_lost(tcb, first, now);
}

// RFC 3522, RFC 3708: what seemed lost was late.
bool was_spurious(const Tcb& tcb, const Segment& segment, const AckSummary& summary) {
  if (!tcb.undo_armed || !tcb.undo_resent) return false;
  if (tcb.undo_retransmitted == 0) return true;  // all came twice
  return summary.acked > 0 && tcb.retransmit_stamp != 0 && segment.options.timestamps &&
         static_cast<std::int32_t>(segment.options.timestamps->echo - tcb.retransmit_stamp) < 0;
}

void undo(Core& core, Tcb& tcb, Instant now) {
  if (has_bbr(tcb)) {
    tcb.bbr->handle_spurious_loss_detection(bbr_connection(tcb, now));
  } else {
    tcb.congestion.cwnd = std::max(tcb.congestion.cwnd, tcb.undo_cwnd);
    tcb.congestion.ssthresh = tcb.undo_ssthresh;
  }
  tcb.scoreboard.unmark_lost();
  tcb.undo_armed = tcb.frto = tcb.prefer_new = false;
  ++incidents_of(tcb).undone;
  ++core.counters.undone;
  ignore_late_duplicates(tcb);
  calm_down(tcb);
}

// RFC 6937 §3.1, with the choice of bounds of its successor: what may be sent now keeps the flight
// in proportion while it is above ssthresh, and grows it slowly below.
void reduce_in_proportion(Tcb& tcb, const AckSummary& summary) {
  if (has_bbr(tcb)) return;  // it bounds the window by what arrives
  const bool repairs = tcb.recovery != RecoveryState::kCwr;
  tcb.prr_delivered += summary.delivered;
  const std::uint32_t flight = tcb.in_flight();
  const std::uint32_t ssthresh = tcb.congestion.ssthresh;
  std::int64_t count = 0;
  if (flight > ssthresh) {
    const std::uint64_t share =
        (std::uint64_t{tcb.prr_delivered} * ssthresh + tcb.prr_flight - 1) / tcb.prr_flight;
    count = static_cast<std::int64_t>(share) - tcb.prr_out;
  } else {
    count =
        std::max<std::int64_t>(std::int64_t{tcb.prr_delivered} - tcb.prr_out, summary.delivered);
    if (repairs && summary.acked > 0 && !summary.newly_lost) count += tcb.mss;
    count = std::min<std::int64_t>(ssthresh - flight, count);
  }
  if (tcb.prr_out == 0) count = std::max<std::int64_t>(count, tcb.mss);
  tcb.congestion.cwnd = flight + static_cast<std::uint32_t>(std::max<std::int64_t>(count, 0));
}

// What is delivered counts once, and only as a cumulative acknowledgment confirms it, unless the
// path is known to reorder: then what is sacked does, too. As Linux has it.
void grow(Tcb& tcb, const AckSummary& summary) {
  if (summary.delivered == 0) return;
  if (summary.acked == 0 && tcb.reordering <= tcb.core->config.reordering) return;
  // RFC 7661 §4.3 in short: a window that is not used says nothing about the path.
  const bool used = tcb.congestion.in_slow_start()
                        ? tcb.congestion.cwnd < 2 * tcb.max_flight
                        : tcb.cwnd_limited || tcb.congestion.cwnd < tcb.max_flight + tcb.mss;
  if (!used) return;
  tcb.control->acked(tcb.congestion, {.now = summary.now,
                                      .acked = summary.delivered,
                                      .mss = tcb.mss,
                                      .rtt = summary.rtt,
                                      .srtt = tcb.srtt,
                                      .min_rtt = tcb.min_rtt,
                                      .una = tcb.snd_una,
                                      .nxt = tcb.snd_nxt});
}

// OPEN, DISORDER and CWR.
void in_order(Core& core, Tcb& tcb, AckSummary& summary) {
  if (!tcb.sack_on) {
    if (summary.duplicate && tcb.dup_acks < UINT8_MAX) ++tcb.dup_acks;
    if (summary.acked > 0) {
      // Each duplicate has told of a segment already.
      const std::uint32_t told = std::uint32_t{tcb.dup_acks} * tcb.mss;
      summary.delivered -= std::min(told, summary.delivered);
      tcb.dup_acks = 0;
      tcb.dup_acks_idle = false;
    }
    if (tcb.dup_acks >= core.config.reordering && !tcb.dup_acks_idle) {
      mark_first_segment_lost(core, tcb, summary.now);
      judge_mtu_probe(core, tcb, summary.now);
    }
  }
  if (has_lost_to_congestion(tcb)) {
    enter_recovery(core, tcb, summary.flight_before, summary.now);
    reduce_in_proportion(tcb, summary);
    return;
  }
  if (tcb.recovery == RecoveryState::kCwr) {
    if (tcb.snd_una < tcb.high_seq) return reduce_in_proportion(tcb, summary);
    if (!has_bbr(tcb)) tcb.congestion.cwnd = tcb.congestion.ssthresh;
  }
  calm_down(tcb);
  grow(tcb, summary);
}

void leave_recovery(Tcb& tcb, Instant now) {
  if (has_bbr(tcb)) {
    tcb.bbr->on_exit_loss_recovery(bbr_connection(tcb, now));
  } else {
    tcb.congestion.cwnd = tcb.congestion.ssthresh;
  }
}

// Without SACK. No more duplicates than segments that can have arrived.
void note_duplicate(Tcb& tcb) {
  const std::uint32_t arrived = (tcb.dup_acks + 1U) * tcb.mss;
  if (arrived + tcb.scoreboard.lost() <= tcb.outstanding() && tcb.dup_acks < UINT8_MAX) {
    ++tcb.dup_acks;
  }
}

void in_recovery(Core& core, Tcb& tcb, const Segment& segment, AckSummary& summary) {
  if (was_spurious(tcb, segment, summary)) {
    undo(core, tcb, summary.now);
    return;
  }
  if (!tcb.sack_on) {
    if (summary.duplicate) {
      summary.delivered = tcb.mss;
      note_duplicate(tcb);
    } else if (summary.acked > 0) {
      const std::uint32_t segments = std::max(summary.acked / tcb.mss, 1U) - 1;
      tcb.dup_acks =
          static_cast<std::uint8_t>(tcb.dup_acks - std::min<std::uint32_t>(tcb.dup_acks, segments));
    }
  }
  if (tcb.snd_una >= tcb.high_seq) {
    tcb.dup_acks = 0;
    tcb.undo_armed = false;
    leave_recovery(tcb, summary.now);
    ignore_late_duplicates(tcb);
    calm_down(tcb);
    return;
  }
  if (!tcb.sack_on && summary.acked > 0) {
    mark_first_segment_lost(core, tcb, summary.now);
    judge_mtu_probe(core, tcb, summary.now);
  }
  reduce_in_proportion(tcb, summary);
}

// RFC 5682 §3.1; true if the time-out turned out spurious.
bool still_in_doubt(Core& core, Tcb& tcb, const AckSummary& summary) {
  if (!tcb.frto) return false;
  if (summary.original) {  // step 3b
    undo(core, tcb, summary.now);
    return true;
  }
  if (tcb.snd_nxt > tcb.high_seq) {
    if (summary.sacked > 0 || summary.duplicate) tcb.frto = false;  // step 3a
  } else if (summary.acked > 0 && tcb.snd_una < tcb.high_seq) {
    tcb.high_seq = tcb.snd_nxt;  // step 2b
    tcb.prefer_new = true;
  } else {
    tcb.frto = false;
  }
  return false;
}

void in_loss(Core& core, Tcb& tcb, const Segment& segment, const AckSummary& summary) {
  if (!tcb.sack_on) {
    // Of what F-RTO sent beyond: it has left the path, and what is lost can go in its place.
    if (summary.duplicate && tcb.snd_nxt > tcb.high_seq) note_duplicate(tcb);
    if (summary.acked > 0) tcb.dup_acks = 0;
  }
  if (still_in_doubt(core, tcb, summary)) return;
  if (was_spurious(tcb, segment, summary)) {
    undo(core, tcb, summary.now);
    return;
  }
  if (tcb.snd_una >= tcb.high_seq && !tcb.prefer_new) {
    tcb.frto = tcb.undo_armed = false;
    if (has_bbr(tcb)) leave_recovery(tcb, summary.now);
    ignore_late_duplicates(tcb);
    calm_down(tcb);
  }
  tcb.max_flight = std::max(tcb.max_flight, tcb.congestion.cwnd);
  grow(tcb, summary);
}

// RFC 8985 §7.4.2: did the probe repair a loss that nobody would else have seen?
void judge_tail_probe(Tcb& tcb, const Segment& segment, const AckSummary& summary) {
  if (!tcb.tlp_sent || segment.ack < tcb.tlp_end) return;
  const bool needless = !tcb.tlp_is_retransmission || summary.dsack;
  const bool came_twice =
      summary.acked == 0 && segment.options.sack_count == 0 && segment.size == 0;
  const bool beyond = segment.ack > tcb.tlp_end;
  if (!needless && !beyond && !came_twice) return;
  tcb.tlp_sent = false;
  if (!needless && beyond) see_congestion(tcb, Signal::kRepairedLoss, summary.now);
}

void note_rtt(const Core& core, Tcb& tcb, const AckSummary& summary) {
  if (summary.rtt > Duration{}) tcb.min_rtt = std::min(tcb.min_rtt, summary.rtt);
  if (summary.first_rtt > Duration{} && !summary.retransmitted) {
    measure_rtt(core.config, tcb, summary.first_rtt);
  } else if (summary.stamp_rtt > Duration{} && summary.retransmitted) {
    measure_rtt(core.config, tcb, summary.stamp_rtt);
  }
}

}  // namespace

void react(Core& core, Tcb& tcb, const Segment& segment, AckSummary& summary) {
  note_rtt(core, tcb, summary);
  judge_tail_probe(tcb, segment, summary);
  if (summary.dsack) {
    tcb.undo_retransmitted -= std::min(tcb.undo_retransmitted, summary.dsack_bytes);
  }
  const std::uint32_t lost = tcb.scoreboard.lost();
  const Duration left = rack_detect_losses(core, tcb, summary.now);
  judge_mtu_probe(core, tcb, summary.now);
  summary.newly_lost = tcb.scoreboard.lost() > lost;
  switch (tcb.recovery) {
    case RecoveryState::kOpen:
    case RecoveryState::kDisorder:
    case RecoveryState::kCwr:
      in_order(core, tcb, summary);
      break;
    case RecoveryState::kRecovery:
      in_recovery(core, tcb, segment, summary);
      break;
    case RecoveryState::kLoss:
      in_loss(core, tcb, segment, summary);
      break;
  }
  if (left > Duration{}) {
    tcb.retransmit_mode = RetransmitMode::kReorder;
    arm(core, tcb, Timer::kRetransmit, summary.now + left);
  } else if (tcb.retransmit_mode == RetransmitMode::kReorder) {
    tcb.retransmit_mode = RetransmitMode::kNone;
  }
}

bool has_lost_to_congestion(Tcb& tcb) {
  return tcb.scoreboard.lost() > tcb.scoreboard.retransmitted() + probe_bytes_to_repair(tcb);
}

void mark_lost(Tcb& tcb, Range& range, Instant now) {
  const bool anew = !range.lost || range.retransmitted;
  if (anew && has_bbr(tcb) && !is_mtu_probe(tcb, range))
    tcb.bbr->handle_lost_packet(bbr_connection(tcb, now), range);
  tcb.scoreboard.mark_lost(range);
}

void enter_recovery(Core& core, Tcb& tcb, std::uint32_t flight, Instant now) {
  if (has_bbr(tcb)) tcb.bbr->on_enter_loss_recovery(bbr_connection(tcb, now));
  if (must_reduce_for_loss(tcb)) reduce(tcb);
  arm_undo(tcb);
  tcb.recovery = RecoveryState::kRecovery;
  tcb.high_seq = tcb.snd_nxt;
  tcb.tlp_sent = false;
  tcb.prr_delivered = tcb.prr_out = 0;
  tcb.prr_flight = std::max<std::uint32_t>(flight, tcb.mss);
  // At least the first loss is repaired at once.
  if (!has_bbr(tcb)) tcb.congestion.cwnd = tcb.in_flight() + tcb.mss;
  ++incidents_of(tcb).recoveries;
  ++core.counters.fast_recoveries;
  if (tcb.reo_wnd_persist > 0) --tcb.reo_wnd_persist;
  if (tcb.reo_wnd_persist == 0) tcb.reo_wnd_mult = 1;
}

void on_retransmit_timeout(Core& core, Tcb& tcb, Instant now) {
  ++core.counters.timeouts;
  mtu_probe_timed_out(core, tcb, now);
  if (has_bbr(tcb)) tcb.bbr->on_enter_loss_recovery(bbr_connection(tcb, now));
  const bool anew = tcb.recovery < RecoveryState::kRecovery;
  if (anew || tcb.snd_una >= tcb.high_seq) {
    reduce(tcb);
    arm_undo(tcb);
  } else if (tcb.recovery == RecoveryState::kRecovery) {
    tcb.undo_armed = false;
  }
  tcb.frto = anew || tcb.retries > 0;
  tcb.prefer_new = false;
  tcb.recovery = RecoveryState::kLoss;
  tcb.high_seq = tcb.snd_nxt;
  tcb.tlp_sent = false;
  tcb.dup_acks = 0;
  Scoreboard& board = tcb.scoreboard;
  // The peer would have acknowledged what it has at the front: it has dropped it (RFC 2018 §8).
  const bool reneged = !board.empty() && board.first()->sacked;
  if (reneged) board.forget_sacked();
  for (Range* range = board.first(); range != nullptr; range = range->next) {
    if (range->sacked) continue;
    // RFC 8985 §6.3.
    if (reneged || !tcb.sack_on || range == board.first() || rack_is_overdue(tcb, *range, now)) {
      mark_lost(tcb, *range, now);
    }
  }
  tcb.congestion.cwnd = tcb.in_flight() + tcb.mss;
  tcb.control->restart(tcb.congestion);
}

void resend_everything(Core& /*core*/, Tcb& tcb) {
  Scoreboard& board = tcb.scoreboard;
  if (board.empty()) return;
  cancel_mtu_probe(tcb);
  for (Range* range = board.first(); range != nullptr; range = range->next) {
    if (!range->sacked) board.mark_lost(*range);
  }
  if (tcb.recovery >= RecoveryState::kRecovery) return;
  tcb.recovery = RecoveryState::kLoss;
  tcb.high_seq = tcb.snd_nxt;
  tcb.undo_armed = tcb.frto = false;
}

void see_congestion(Tcb& tcb, Signal signal, Instant now) {
  if (tcb.recovery >= RecoveryState::kCwr) return;
  if (signal == Signal::kMark) {
    prepare_reduction(tcb);
    tcb.congestion.ssthresh = tcb.control->marked(tcb.congestion, tcb.outstanding(), tcb.mss);
  } else {
    reduce(tcb);
  }
  tcb.undo_armed = false;
  tcb.recovery = RecoveryState::kCwr;
  tcb.high_seq = tcb.snd_nxt;
  if (has_bbr(tcb)) {
    if (signal == Signal::kMark) {
      tcb.bbr->on_congestion_mark(bbr_connection(tcb, now));
    } else {
      tcb.bbr->on_repaired_loss(bbr_connection(tcb, now));
    }
    return;
  }
  if (tcb.outstanding() == 0) tcb.congestion.cwnd = tcb.congestion.ssthresh;
  // Else the window follows within a round trip, in proportion, as where something was lost.
  tcb.prr_delivered = tcb.prr_out = 0;
  tcb.prr_flight = std::max<std::uint32_t>(tcb.outstanding(), tcb.mss);
}

}  // namespace tideline::tcp
