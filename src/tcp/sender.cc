// SPDX-License-Identifier: Apache-2.0
#include "tcp/sender.h"

#include <algorithm>

#include "tcp/authentication.h"
#include "tcp/bbr_flow.h"
#include "tcp/bypass.h"
#include "tcp/fast_open_client.h"
#include "tcp/figures.h"
#include "tcp/mtu_probe.h"
#include "tcp/recovery.h"
#include "tcp/transmit.h"

namespace tideline::tcp {
namespace {

// What is held back waits for a retransmission time-out, as in Linux.
constexpr Duration kCorkTime = std::chrono::milliseconds(200);
constexpr Duration kLongestCorkTime = std::chrono::seconds(1);
constexpr Duration kRetryTime = std::chrono::milliseconds(1);  // when memory lacks
constexpr Duration kTimerLateness = std::chrono::microseconds(100);
constexpr Duration kProbeSlack = std::chrono::milliseconds(2);
constexpr Duration kFirstProbe = std::chrono::seconds(1);             // before there is a sample
constexpr Duration kLoneProbeSlack = std::chrono::milliseconds(200);  // for a delayed ACK

// What one call of output() may still do.
struct Budget {
  std::uint32_t bytes;
  bool blocked = false;  // memory lacks, or time has not come: nothing more in this call
};

void try_again(Core& core, Tcb& tcb, Instant now, Budget& budget) {
  budget.blocked = true;
  arm(core, tcb, Timer::kPace, now + kRetryTime);
}

std::uint32_t cwnd_room(const Tcb& tcb) {
  const std::uint32_t flight = tcb.in_flight();
  return tcb.congestion.cwnd > flight ? tcb.congestion.cwnd - flight : 0;
}

// Whether pacing lets us send now; else the timer is set.
bool may_send_now(Core& core, Tcb& tcb, Instant now, Budget& budget) {
  if (!is_paced(tcb) || now >= tcb.pace_until) return true;
  budget.blocked = true;
  arm(core, tcb, Timer::kPace, tcb.pace_until);
  return false;
}

void note_sent(Tcb& tcb, std::uint32_t size, Instant now, Budget& budget) {
  budget.bytes -= std::min(budget.bytes, size);
  tcb.prr_out += size;
  tcb.last_data_sent = now;
  // The initial window is what a path bears (RFC 6928).
  if (!is_paced(tcb) || tcb.bytes_sent <= initial_cwnd(tcb.core->config, tcb.mss)) return;
  const std::uint64_t rate = std::max<std::uint64_t>(pacing_rate(tcb), 1);
  const auto time = Duration(static_cast<std::int64_t>(std::uint64_t{size} * 1'000'000'000 / rate));
  // That the timer was late, as a tick of the wheel may be, does not slow the flow down; and what a
  // pause has left unused counts for half of the next gap, as in Linux.
  const Duration credit = std::max(kTimerLateness, time / 2);
  tcb.pace_until = std::max(tcb.pace_until, now - credit) + time;
}

// A frame is at most half of the window, so that the peer answers the first while the second is
// under way, and on a long path no more than a millisecond's worth: a burst that a queue bears. As
// Linux has it.
std::uint32_t frame_limit(const Core& core, const Tcb& tcb) {
  constexpr Duration kShortPath = std::chrono::microseconds(500);
  const std::uint32_t segment = segment_payload(tcb);
  if (tcb.is_urgent()) return segment;  // each with its own pointer
  std::uint64_t most = std::min(frame_payload(core, tcb), tcb.congestion.cwnd / 2);
  if (is_paced(tcb) || tcb.min_rtt > kShortPath) {
    const std::uint64_t least = std::uint64_t{core.config.min_frame_segments} * segment;
    most = std::min(most, std::max(pacing_rate(tcb) / 1000, least));
  }
  return static_cast<std::uint32_t>(std::max<std::uint64_t>(most / segment, 1) * segment);
}

bool ends_with_fin(const Tcb& tcb, Seq end) { return tcb.fin_sent && end == tcb.snd_nxt; }

// Sends the front of a range again, at most `size` numbers of it.
bool resend(Core& core, Tcb& tcb, Range& range, std::uint32_t size, Instant now, Budget& budget) {
  if (size < range.size() && !tcb.scoreboard.split(core.ranges, range, range.begin + size)) {
    core.counters.count(Discard::kRangesFull);
    try_again(core, tcb, now, budget);
    return false;
  }
  const std::uint16_t flags = ends_with_fin(tcb, range.end) ? wire::kTcpFin : 0;
  const std::uint32_t segment = segment_payload(tcb);
  if (!send_range(core, tcb, range.begin, range.end, segment, flags, now)) {
    try_again(core, tcb, now, budget);
    return false;
  }
  if (tcb.undo_armed) {
    tcb.undo_resent = true;
    tcb.undo_retransmitted += range.size();
    if (tcb.retransmit_stamp == 0) tcb.retransmit_stamp = timestamp(tcb, now);
  }
  tcb.scoreboard.mark_retransmitted(range, segment, now);
  bbr_sent(tcb, range);
  note_sent(tcb, range.size(), now, budget);
  return true;
}

void resend_lost(Core& core, Tcb& tcb, Instant now, Budget& budget) {
  if (tcb.scoreboard.lost() == tcb.scoreboard.retransmitted()) return;
  const Seq edge = tcb.snd_una + std::max<std::uint32_t>(tcb.snd_wnd, tcb.mss);
  for (Range* range = tcb.scoreboard.first(); range != nullptr; range = range->next) {
    if (!range->lost || range->retransmitted) continue;
    if (range->begin >= edge || budget.blocked || budget.bytes == 0) return;
    std::uint32_t room = std::min(cwnd_room(tcb), frame_limit(core, tcb));
    const std::uint32_t segment = segment_payload(tcb);
    if (room < std::min(segment, range->size())) return;
    if (room < range->size()) room = room / segment * segment;
    if (!may_send_now(core, tcb, now, budget)) return;
    if (!resend(core, tcb, *range, std::min(room, range->size()), now, budget)) return;
  }
}

// RFC 896, RFC 9293 §3.7.4 with Minshall's change: may less than a full segment go?
bool may_send_small(Core& core, Tcb& tcb, std::uint64_t available, Instant now) {
  if (tcb.shut_down || tcb.pushed || tcb.is_urgent()) return true;
  // The owner is in the middle of a write, and goes on when there is room.
  if (tcb.attachment.send->is_full() && tcb.outstanding() > 0) return false;
  if (tcb.options.cork || tcb.more_to_come) {
    if (tcb.cork_since == kNever) tcb.cork_since = now;
    const Instant end = tcb.cork_since + std::clamp(tcb.rto, kCorkTime, kLongestCorkTime);
    if (now < end) {
      arm(core, tcb, Timer::kPace, end);
      return false;
    }
    tcb.more_to_come = tcb.more_was_said = false;
    return true;
  }
  if (tcb.options.no_delay) return true;
  if (available * 2 >= std::max<std::uint64_t>(tcb.max_snd_wnd, 1)) return true;
  return tcb.snd_sml <= tcb.snd_una;
}

// How much new data goes into the next frame; 0: none may. A frame does not reach beyond the end of
// a record.
std::uint32_t next_frame(Core& core, Tcb& tcb, std::uint64_t unsent, Instant now,
                         const Budget& budget) {
  const std::uint64_t offset = tcb.snd_offset(tcb.snd_nxt);
  const std::uint64_t record = tcb.attachment.send->record_end(offset) - offset;
  const std::uint64_t available = std::min(unsent, record);
  const Seq edge = tcb.snd_una + tcb.snd_wnd;
  const std::uint32_t window = edge > tcb.snd_nxt ? edge - tcb.snd_nxt : 0;
  const std::uint32_t segment = segment_payload(tcb);
  const std::uint32_t cwnd = cwnd_room(tcb);
  const auto wanted = static_cast<std::uint32_t>(std::min<std::uint64_t>(available, segment));
  if (cwnd < wanted) {
    tcb.cwnd_limited = true;
    return 0;
  }
  std::uint64_t size = std::min<std::uint64_t>(
      {available, window, cwnd, frame_limit(core, tcb), std::max(budget.bytes, segment)});
  if (size == 0) return 0;
  const std::uint64_t tail = size % segment;
  if (tail == 0) return static_cast<std::uint32_t>(size);
  // Silly windows are not filled: RFC 9293 §3.8.6.2.1.
  const bool last = size == available;
  const bool half_window = size >= segment || 2 * size >= tcb.max_snd_wnd;
  const bool ends_record = record < unsent;
  if (last ? ends_record || may_send_small(core, tcb, available, now)
           : size < segment && half_window) {
    return static_cast<std::uint32_t>(size);
  }
  return static_cast<std::uint32_t>(size - tail);
}

// RFC 5681 §4.1: after an idle time the window is no longer proven.
void restart_after_idle(Core& core, Tcb& tcb, Instant now) {
  if (tcb.outstanding() > 0) return;
  if (has_bbr(tcb)) {
    if (now - tcb.last_data_sent > tcb.rto) update_mss(core, tcb, now);
    return;
  }
  if (tcb.activity == Activity::kIdle) {
    tcb.control->resume(tcb.congestion, now - tcb.activity_since);
  }
  Duration idle = now - tcb.last_data_sent;
  if (!core.config.restart_after_idle || idle <= tcb.rto) return;
  const std::uint32_t initial = initial_cwnd(core.config, tcb.mss);
  tcb.congestion.ssthresh = std::max(tcb.congestion.ssthresh, tcb.congestion.cwnd / 4 * 3);
  while (idle > tcb.rto && tcb.congestion.cwnd > initial) {
    idle -= tcb.rto;
    tcb.congestion.cwnd = std::max(tcb.congestion.cwnd / 2, initial);
  }
  tcb.control->restart(tcb.congestion);
  update_mss(core, tcb, now);
}

// Room for a frame: in the queues below, in this turn, and in the list of what is in flight.
bool has_room(Core& core, Tcb& tcb, Instant now, Budget& budget) {
  if (tcb.lent_bytes >= core.config.max_queued) return false;  // goes on when frames have left
  if (budget.bytes == 0) {
    mark_pending(core, tcb);  // after others
    return false;
  }
  if (core.ranges.size() == core.ranges.capacity()) {
    core.counters.count(Discard::kRangesFull);
    try_again(core, tcb, now, budget);
    return false;
  }
  return true;
}

void sent_fin(Core& core, Tcb& tcb, Instant now) {
  tcb.fin_sent = true;
  const bool passive = tcb.state == State::kCloseWait;
  set_state(core, tcb, passive ? State::kLastAck : State::kFinWait1, now);
}

// RFC 4821 §7.5: a probe of the path MTU is a frame of its own, of one segment.
DueProbe next_probe(Core& core, Tcb& tcb, std::uint64_t unsent, Instant now) {
  if (tcb.mtu_search == nullptr || unsent == 0) return {};
  const std::uint64_t offset = tcb.snd_offset(tcb.snd_nxt);
  const std::uint64_t record = tcb.attachment.send->record_end(offset) - offset;
  return due_mtu_probe(core, tcb, std::min(unsent, record), now);
}

// Sends the next frame; false if there is none, or none may go now.
bool send_frame(Core& core, Tcb& tcb, Instant now, Budget& budget) {
  const std::uint64_t available = tcb.write_end - tcb.snd_offset(tcb.snd_nxt);
  if ((available == 0 && !tcb.shut_down) || !has_room(core, tcb, now, budget)) return false;
  restart_after_idle(core, tcb, now);
  const auto [probe, has_room] = next_probe(core, tcb, available, now);
  if (probe > 0 && !has_room) return false;
  std::uint32_t size = probe;
  if (probe == 0 && available > 0) size = next_frame(core, tcb, available, now, budget);
  const bool fin = tcb.shut_down && size == available;
  if (size == 0 && (!fin || tcb.snd_wnd <= tcb.outstanding())) return false;
  if (!may_send_now(core, tcb, now, budget)) return false;
  bbr_before_sending(tcb, now);
  const Seq begin = tcb.snd_nxt;
  const Seq end = begin + size + (fin ? 1 : 0);
  const std::uint32_t segment = probe > 0 ? probe : segment_payload(tcb);
  if (!send_range(core, tcb, begin, end, segment, fin ? wire::kTcpFin : 0, now)) {
    try_again(core, tcb, now, budget);
    return false;
  }
  if (tcb.outstanding() == 0) {
    tcb.progress_at = now;
    begin_delivery_round(tcb, end, now);
  }
  tcb.scoreboard.append(core.ranges, begin, end, segment, now);
  tcb.snd_nxt = end;
  if (probe > 0) mtu_probe_sent(core, tcb, begin, end);
  bbr_sent(tcb, *tcb.scoreboard.last());
  tcb.cork_since = kNever;
  if (probe == 0 && size % tcb.mss != 0) tcb.snd_sml = end;
  note_sent(tcb, end - begin, now, budget);
  if (fin) sent_fin(core, tcb, now);
  return true;
}

// The largest flight of a round, which begins when something is sent: an idle connection has none.
void note_flight(Tcb& tcb, bool has_sent) {
  if (has_sent && tcb.snd_una >= tcb.flight_round_end) {
    tcb.max_flight = 0;
    tcb.flight_round_end = tcb.snd_nxt;
  }
  tcb.max_flight = std::max(tcb.max_flight, tcb.in_flight());
}

void send_new(Core& core, Tcb& tcb, Instant now, Budget& budget) {
  while (!budget.blocked && !tcb.fin_sent && send_frame(core, tcb, now, budget)) continue;
}

// RFC 8985 §7.2: one probe per flight, and not while losses are known.
bool may_probe_tail(const Tcb& tcb) {
  return tcb.core->config.tail_probes && tcb.sack_on && !tcb.tlp_sent &&
         tcb.recovery <= RecoveryState::kDisorder && tcb.scoreboard.sacked() == 0 &&
         tcb.backoff == 0 && !tcb.syn_ack_owed;
}

// RFC 6298 §5.1: a time-out that is under way is not put off by new data, a probe is (RFC 8985
// §7.2). What is sent again in its place has a time-out of its own, as RFC 6675 §5 allows.
bool must_set_retransmit_timer(const Tcb& tcb, bool sent_new, Instant now) {
  if (tcb.retransmit_mode == RetransmitMode::kNone) return true;
  if (tcb.retransmit_mode != RetransmitMode::kRto) return sent_new;
  const Range* first = tcb.scoreboard.first();
  return first != nullptr && first->sent == now;
}

// The time-out runs since `since`.
void start_retransmit_timer(Core& core, Tcb& tcb, Instant since, Instant now) {
  if (tcb.retransmit_mode == RetransmitMode::kReorder) return;
  if (tcb.outstanding() == 0 && !tcb.syn_ack_owed) {
    const bool waiting =
        tcb.may_send() && !tcb.fin_sent && (tcb.write_end > tcb.una_offset || tcb.shut_down);
    const bool closed =
        waiting && tcb.deadline(Timer::kPace) == kNever && tcb.lent_bytes < core.config.max_queued;
    if (!closed) {
      tcb.retransmit_mode = RetransmitMode::kNone;
      disarm(tcb, Timer::kRetransmit);
    } else if (tcb.retransmit_mode != RetransmitMode::kPersist) {
      tcb.progress_at = now;
      tcb.retransmit_mode = RetransmitMode::kPersist;
      arm(core, tcb, Timer::kRetransmit, now + backed_off(core, tcb));
    }
    return;
  }
  Instant when = since + backed_off(core, tcb);
  tcb.retransmit_mode = RetransmitMode::kRto;
  if (may_probe_tail(tcb)) {
    const Duration slack = tcb.outstanding() <= tcb.mss ? kLoneProbeSlack : kProbeSlack;
    const bool measured = tcb.srtt > Duration{};
    when = std::min(when, now + (measured ? 2 * tcb.srtt + slack : kFirstProbe));
    tcb.retransmit_mode = RetransmitMode::kTailProbe;
  }
  if (const Duration most = tcb.options.user_timeout; most > Duration{}) {
    when = std::min(when, tcb.progress_at + most);
  }
  arm(core, tcb, Timer::kRetransmit, std::max(when, now + Duration(1)));
}

Activity activity_of(const Tcb& tcb) {
  const std::uint64_t sent = tcb.snd_offset(tcb.snd_nxt);
  const std::uint64_t unsent = tcb.write_end > sent ? tcb.write_end - sent : 0;
  if (unsent == 0 && tcb.outstanding() == 0) return Activity::kIdle;
  if (tcb.attachment.send != nullptr && tcb.attachment.send->is_full() && unsent < tcb.mss &&
      tcb.in_flight() < tcb.congestion.cwnd) {
    return Activity::kBufferLimited;
  }
  if (unsent == 0) return Activity::kSending;
  const Seq edge = tcb.snd_una + tcb.snd_wnd;
  const std::uint32_t window = edge > tcb.snd_nxt ? edge - tcb.snd_nxt : 0;
  const std::uint64_t wanted = std::min<std::uint64_t>(unsent, tcb.mss);
  return window < wanted && cwnd_room(tcb) >= wanted ? Activity::kWindowLimited
                                                     : Activity::kSending;
}

std::uint32_t notsent_lowat(const Core& core, const Tcb& tcb) {
  const std::uint32_t chosen = tcb.options.notsent_lowat;
  return chosen == 0 ? core.config.notsent_lowat : chosen;
}

void account_time(Tcb& tcb, Instant now) {
  const Activity next = activity_of(tcb);
  if (next == tcb.activity) return;
  const Duration elapsed = now - tcb.activity_since;
  if (tcb.activity != Activity::kIdle) tcb.busy += elapsed;
  if (tcb.activity == Activity::kWindowLimited) incidents_of(tcb).window_limited += elapsed;
  if (tcb.activity == Activity::kBufferLimited) incidents_of(tcb).buffer_limited += elapsed;
  tcb.activity = next;
  tcb.activity_since = now;
}

}  // namespace

bool is_paced(const Tcb& tcb) {
  return has_bbr(tcb) || tcb.options.pacing || tcb.options.max_pacing_rate != UINT64_MAX;
}

// Without BBR, twice the window per round trip in slow start, 1.2 after, as Linux has it.
std::uint64_t pacing_rate(const Tcb& tcb) {
  if (has_bbr(tcb)) return std::min(tcb.bbr->pacing_rate(), tcb.options.max_pacing_rate);
  if (tcb.srtt <= Duration{}) return tcb.options.max_pacing_rate;
  const Config& config = tcb.core->config;
  const std::uint64_t factor = tcb.congestion.cwnd < tcb.congestion.ssthresh / 2
                                   ? config.pacing_in_slow_start
                                   : config.pacing_after_slow_start;
  const auto rtt = static_cast<std::uint64_t>(tcb.srtt.count());
  const std::uint64_t rate = std::uint64_t{tcb.congestion.cwnd} * factor / 100 * 1'000'000 /
                             std::max<std::uint64_t>(rtt / 1000, 1);
  return std::min(rate, tcb.options.max_pacing_rate);
}

void restart_retransmit_timer(Core& core, Tcb& tcb, Instant now) {
  start_retransmit_timer(core, tcb, now, now);
}

void continue_retransmit_timer(Core& core, Tcb& tcb, Instant now) {
  const Range* first = tcb.scoreboard.first();
  const Instant sent = first == nullptr ? now : first->sent;
  start_retransmit_timer(core, tcb, std::max(tcb.progress_at, sent), now);
}

void output(Core& core, Tcb& tcb, Instant now) {
  if (tcb.syn_waits && tcb.state == State::kSynSent) send_delayed_syn(core, tcb, now);
  if (!tcb.is_synchronized()) return;
  bbr_check_application_limited(tcb);
  if (tcb.attachment.send != nullptr && !tcb.fin_sent) {
    tcb.write_end = std::max(tcb.write_end, tcb.attachment.send->end());
    tcb.snd_up = tcb.attachment.send->urgent_end();
  }
  if (tcb.may_send() && tcb.attachment.send != nullptr) {
    Budget budget{.bytes = core.config.max_burst};
    const Seq before = tcb.snd_nxt;
    if (tcb.prefer_new) {
      send_new(core, tcb, now, budget);
      tcb.prefer_new = false;
      if (tcb.snd_nxt == before) tcb.frto = false;
    }
    resend_lost(core, tcb, now, budget);
    if (tcb.snd_nxt == before) tcb.cwnd_limited = false;
    if (move_locally(core, tcb, now)) send_new(core, tcb, now, budget);
    if (tcb.cwnd_limited && has_bbr(tcb)) tcb.bbr->note_cwnd_limited();
    note_flight(tcb, tcb.snd_nxt != before);
    if (must_set_retransmit_timer(tcb, tcb.snd_nxt != before, now)) {
      continue_retransmit_timer(core, tcb, now);
    }
  }
  tcb.pushed = false;
  if (is_unsent_bounded(core, tcb) && tcb.snd_nxt != tcb.notsent_from) bound_unsent(core, tcb);
  account_time(tcb, now);
  if (tcb.ack_now) send_ack(core, tcb, now);
}

bool is_unsent_bounded(const Core& core, const Tcb& tcb) {
  return notsent_lowat(core, tcb) != UINT32_MAX;
}

// As Linux has it: what waits is less than that, or one frame, which is at most half of the peer's
// window; and who polls is told when it is less than half of it.
void bound_unsent(Core& core, Tcb& tcb) {
  if (tcb.attachment.send == nullptr) return;
  tcb.notsent_from = tcb.snd_nxt;
  tcb.events.writable = true;
  mark_pending(core, tcb);
  const std::uint32_t lowat = notsent_lowat(core, tcb);
  if (lowat == UINT32_MAX) {
    tcb.attachment.send->want_unsent(UINT64_MAX, UINT64_MAX);
    return;
  }
  const std::uint32_t segment = segment_payload(tcb);
  const std::uint32_t segments = std::min(frame_payload(core, tcb), tcb.max_snd_wnd / 2) / segment;
  const std::uint32_t frame = std::max<std::uint32_t>(segments, 1) * segment;
  const std::uint64_t sent = tcb.snd_offset(tcb.snd_nxt);
  tcb.attachment.send->want_unsent(sent + std::max(lowat, frame), sent + (lowat + 1) / 2);
}

bool send_next_segment(Core& core, Tcb& tcb, Instant now) {
  tcb.write_end = std::max(tcb.write_end, tcb.attachment.send->end());
  const Seq edge = tcb.snd_una + tcb.snd_wnd;
  if (tcb.fin_sent || edge <= tcb.snd_nxt) return false;
  const std::uint64_t offset = tcb.snd_offset(tcb.snd_nxt);
  const std::uint64_t available =
      std::min(tcb.write_end, tcb.attachment.send->record_end(offset)) - offset;
  const std::uint32_t segment = segment_payload(tcb);
  const auto size =
      static_cast<std::uint32_t>(std::min<std::uint64_t>({available, segment, edge - tcb.snd_nxt}));
  if (size == 0 || core.ranges.size() == core.ranges.capacity()) return false;
  const Seq begin = tcb.snd_nxt;
  if (!send_range(core, tcb, begin, begin + size, segment, 0, now)) return false;
  tcb.scoreboard.append(core.ranges, begin, begin + size, segment, now);
  tcb.snd_nxt = begin + size;
  bbr_sent(tcb, *tcb.scoreboard.last());
  tcb.last_data_sent = now;
  return true;
}

void send_tail_probe(Core& core, Tcb& tcb, Instant now) {
  ++core.counters.probes;
  tcb.tlp_is_retransmission = !send_next_segment(core, tcb, now);
  if (tcb.tlp_is_retransmission) {
    Range* last = tcb.scoreboard.last();
    if (last == nullptr || last->sacked) return;
    // RFC 9293 §3.8.6, SHLD-16: the peer has taken its window back.
    if (last->end > tcb.snd_una + tcb.snd_wnd) return;
    if (is_mtu_probe(tcb, *last)) cancel_mtu_probe(tcb);
    const std::uint32_t segment = segment_payload(tcb);
    if (last->size() > segment) {
      // The last segment as it was cut before, which may be short.
      std::uint32_t tail = last->size() % segment;
      if (tail == 0) tail = segment;
      if (!tcb.scoreboard.split(core.ranges, *last, last->end - tail)) return;
      last = last->next;
    }
    Budget budget{.bytes = core.config.max_burst};
    if (!resend(core, tcb, *last, last->size(), now, budget)) return;
  }
  tcb.tlp_sent = true;
  tcb.tlp_end = tcb.snd_nxt;
}

void update_mss(Core& core, Tcb& tcb, Instant now) {
  tcb.path_mtu = core.network.mtu_to(tcb.tuple.remote.address, now);
  const std::uint32_t headers = (tcb.tuple.is_ipv4() ? 20 : 40) + sizeof(wire::TcpHeader);
  std::uint32_t mss = std::min<std::uint32_t>(effective_mtu(tcb) - headers, tcb.peer_mss);
  if (tcb.options.max_segment != 0) {
    mss = std::min<std::uint32_t>(mss, tcb.options.max_segment);
  }
  mss -= packet_overhead(tcb) - headers;
  tcb.mss = static_cast<std::uint16_t>(mss);
}

}  // namespace tideline::tcp
