// SPDX-License-Identifier: Apache-2.0
#include "tcp/timers.h"

#include <algorithm>

#include "tcp/fast_open.h"
#include "tcp/fast_open_client.h"
#include "tcp/figures.h"
#include "tcp/handshake.h"
#include "tcp/mtu_probe.h"
#include "tcp/recovery.h"
#include "tcp/sender.h"
#include "tcp/transmit.h"

namespace tideline::tcp {
namespace {

void give_up(Core& core, Tcb& tcb, Instant now) {
  const End reason = tcb.soft_error == End::kNone ? End::kTimedOut : tcb.soft_error;
  if (tcb.is_synchronized()) send_reset(core, tcb, now);
  finish(core, tcb, reason, now);
}

// RFC 9293 §3.8.3, RFC 5482: whether the peer has been silent for too long.
bool is_hopeless(const Core& core, const Tcb& tcb, Instant now) {
  if (tcb.options.user_timeout > Duration{}) {
    return now - tcb.progress_at >= tcb.options.user_timeout;
  }
  return tcb.retries >= (tcb.closed_by_owner ? core.config.orphan_retries : core.config.retries);
}

// RFC 9293 §3.8.6.1, MUST-37: a peer that answers keeps its window closed for as long as it likes.
// DEVIATES: not after close(), when nobody here would see an end to it.
bool is_hopeless_while_closed(const Core& core, const Tcb& tcb, Instant now) {
  const bool silent = now - tcb.last_received > backed_off(core, tcb) + core.config.max_rto;
  const bool counts = silent || tcb.closed_by_owner || tcb.options.user_timeout > Duration{};
  return counts && is_hopeless(core, tcb, now);
}

void handshake_timeout(Core& core, Tcb& tcb, Instant now) {
  const unsigned deferred = tcb.deferred ? deferrals(core, tcb) : 0;
  const unsigned most = tcb.state == State::kSynSent
                            ? core.config.syn_retries
                            : std::max(core.config.syn_ack_retries, deferred);
  const bool late =
      tcb.options.user_timeout > Duration{} && now - tcb.last_data_sent >= tcb.options.user_timeout;
  if (tcb.retries >= most || late) {
    give_up(core, tcb, now);
    return;
  }
  if (tcb.state == State::kSynSent) lose_fast_syn(core, tcb, now);
  note_timeout(tcb, now);
  ++tcb.retries;
  ++tcb.backoff;
  // Who waits for data says nothing, until the answer will do without.
  if (tcb.retries >= deferred) {
    ++core.counters.retransmissions;
    ++incidents_of(tcb).segments_retransmitted;
    send_syn(core, tcb, now);
  }
  arm(core, tcb, Timer::kRetransmit, now + backed_off(core, tcb));
}

// RFC 6298 §5.4 to §5.6.
void retransmit_timeout(Core& core, Tcb& tcb, Instant now) {
  // MUST-35: a window that shrank to nothing is probed as any, by what it had room for.
  const bool closed = tcb.snd_wnd == 0 && !tcb.syn_ack_owed;
  const bool unanswered = tcb.syn_ack_owed && tcb.retries >= core.config.syn_ack_retries;
  const bool hopeless =
      closed ? is_hopeless_while_closed(core, tcb, now) : is_hopeless(core, tcb, now);
  if (unanswered || hopeless) {
    give_up(core, tcb, now);
    return;
  }
  if (tcb.syn_ack_owed) {
    repeat_fast_open(core, tcb, now);
    ++core.counters.retransmissions;
    ++incidents_of(tcb).segments_retransmitted;
    if (tcb.outstanding() == 0) {
      note_timeout(tcb, now);
      ++tcb.retries;
      ++tcb.backoff;
      arm(core, tcb, Timer::kRetransmit, now + backed_off(core, tcb));
      return;
    }
  }
  note_timeout(tcb, now);
  if (!closed) see_full_stop(core, tcb, now);
  update_mss(core, tcb, now);
  on_retransmit_timeout(core, tcb, now);
  if (!closed) watch_for_black_hole(core, tcb, now);
  if (tcb.retries < UINT8_MAX) ++tcb.retries;
  if (tcb.backoff < UINT8_MAX) ++tcb.backoff;
  restart_retransmit_timer(core, tcb, now);
  output(core, tcb, now);
}

// RFC 9293 §3.8.6.1: asks, ever more rarely, and without end while the peer answers.
void persist_timeout(Core& core, Tcb& tcb, Instant now) {
  if (is_hopeless_while_closed(core, tcb, now)) {
    give_up(core, tcb, now);
    return;
  }
  if (tcb.snd_wnd > 0) {  // a small window, left alone for long enough: §3.8.6.2.1
    tcb.retransmit_mode = RetransmitMode::kNone;
    send_next_segment(core, tcb, now);
    restart_retransmit_timer(core, tcb, now);
    return;
  }
  if (tcb.retries < UINT8_MAX) ++tcb.retries;
  if (tcb.backoff < UINT8_MAX) ++tcb.backoff;
  send_probe(core, tcb, now);
  arm(core, tcb, Timer::kRetransmit, now + backed_off(core, tcb));
}

void retransmit_timer(Core& core, Tcb& tcb, Instant now) {
  if (!tcb.is_synchronized()) {
    handshake_timeout(core, tcb, now);
    return;
  }
  switch (tcb.retransmit_mode) {
    case RetransmitMode::kNone:
      break;
    case RetransmitMode::kRto:
      retransmit_timeout(core, tcb, now);
      break;
    case RetransmitMode::kTailProbe:
      send_tail_probe(core, tcb, now);
      tcb.retransmit_mode = RetransmitMode::kRto;
      arm(core, tcb, Timer::kRetransmit, now + backed_off(core, tcb));
      break;
    case RetransmitMode::kReorder:
      tcb.retransmit_mode = RetransmitMode::kNone;
      rack_reordering_timeout(core, tcb, now);
      output(core, tcb, now);
      break;
    case RetransmitMode::kPersist:
      persist_timeout(core, tcb, now);
      break;
  }
}

// RFC 9293 §3.8.4.
void keepalive_timer(Core& core, Tcb& tcb, Instant now) {
  if (!tcb.options.keepalive) return;
  const Instant due = tcb.last_received + tcb.options.keepalive_idle;
  if (tcb.outstanding() > 0 || (tcb.keepalives == 0 && now < due)) {
    arm(core, tcb, Timer::kLife, std::max(due, now + tcb.options.keepalive_interval));
    return;
  }
  const bool late = tcb.options.user_timeout > Duration{} &&
                    now - tcb.last_received >= tcb.options.user_timeout && tcb.keepalives > 0;
  if (tcb.keepalives >= tcb.options.keepalive_probes || late) {
    give_up(core, tcb, now);
    return;
  }
  ++tcb.keepalives;
  send_probe(core, tcb, now);
  arm(core, tcb, Timer::kLife, now + tcb.options.keepalive_interval);
}

void life_timer(Core& core, Tcb& tcb, Instant now) {
  const bool waited_for_fin = tcb.state == State::kFinWait2 && tcb.closed_by_owner;
  if (tcb.state == State::kTimeWait || waited_for_fin) {
    finish(core, tcb, End::kFinished, now);
  } else if (tcb.is_synchronized()) {
    keepalive_timer(core, tcb, now);
  }
}

bool take_due(Tcb& tcb, Timer timer, Instant now) {
  if (tcb.deadline(timer) > now) return false;
  disarm(tcb, timer);
  return true;
}

}  // namespace

void run_timers(Core& core, Tcb& tcb, Instant now) {
  if (take_due(tcb, Timer::kDelayedAck, now) && tcb.ack_delayed) send_ack(core, tcb, now);
  if (take_due(tcb, Timer::kRetransmit, now)) retransmit_timer(core, tcb, now);
  if (tcb.state != State::kClosed && take_due(tcb, Timer::kPace, now)) output(core, tcb, now);
  if (tcb.state != State::kClosed && take_due(tcb, Timer::kLife, now)) life_timer(core, tcb, now);
  if (tcb.state == State::kClosed) return;
  const Instant next = *std::ranges::min_element(tcb.deadlines);
  if (next != kNever) core.wheel.schedule_no_later(tcb, next);
}

void restart_keepalive(Core& core, Tcb& tcb, Instant now) {
  if (tcb.state == State::kTimeWait || !tcb.is_synchronized()) return;
  tcb.keepalives = 0;
  if (tcb.options.keepalive) {
    arm(core, tcb, Timer::kLife, now + tcb.options.keepalive_idle);
  } else if (tcb.state != State::kFinWait2) {
    disarm(tcb, Timer::kLife);
  }
}

}  // namespace tideline::tcp
