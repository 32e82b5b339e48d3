// SPDX-License-Identifier: Apache-2.0
#include "tcp/handshake.h"

#include <algorithm>
#include <utility>

#include "tcp/arrival.h"
#include "tcp/authentication.h"
#include "tcp/bbr_flow.h"
#include "tcp/bypass.h"
#include "tcp/cookie.h"
#include "tcp/ecn.h"
#include "tcp/fast_open.h"
#include "tcp/fast_open_client.h"
#include "tcp/figures.h"
#include "tcp/mtu_probe.h"
#include "tcp/receiver.h"
#include "tcp/recovery.h"
#include "tcp/sender.h"
#include "tcp/sequence_numbers.h"
#include "tcp/transmit.h"

namespace tideline::tcp {
namespace {

constexpr Duration kLongDelayedAck = std::chrono::milliseconds(200);

std::uint16_t default_mss(const Tuple& tuple) {
  return tuple.is_ipv4() ? 536 : 1220;  // RFC 9293 §3.7.1, MUST-15
}

// What the peer's SYN says of itself: RFC 7323 §1.3, RFC 2018 §2.
void take_syn(const Core& core, Tcb& tcb, const Segment& segment, Instant now) {
  const wire::TcpOptions& options = segment.options;
  tcb.irs = segment.seq;
  tcb.rcv_nxt = segment.seq + 1;
  tcb.rcv_adv = tcb.rcv_nxt + std::min<std::uint32_t>(core.config.initial_window, 65535);
  tcb.last_ack_sent = tcb.rcv_nxt;
  tcb.peer_mss = options.mss.value_or(default_mss(tcb.tuple));
  tcb.rcv_mss = std::min(tcb.peer_mss, default_mss(tcb.tuple));
  tcb.sack_on = core.config.sack && options.sack_permitted;
  tcb.timestamps_on = core.config.timestamps && options.timestamps.has_value();
  if (tcb.timestamps_on) {
    tcb.ts_recent = options.timestamps->value;
    tcb.ts_recent_at = now;
  }
  tcb.wscale_on = core.config.window_scaling && options.window_scale.has_value();
  if (tcb.wscale_on) {
    tcb.snd_wscale = *options.window_scale;
    tcb.rcv_wscale = window_scale(core.config);
  }
}

void take_window(Tcb& tcb, const Segment& segment) {
  // The window of a SYN is not scaled: RFC 7323 §2.2.
  const unsigned scale = segment.has(wire::kTcpSyn) ? 0 : tcb.snd_wscale;
  tcb.snd_wnd = std::uint32_t{segment.window} << scale;
  tcb.max_snd_wnd = std::max(tcb.max_snd_wnd, tcb.snd_wnd);
  tcb.snd_wl1 = segment.seq;
  tcb.snd_wl2 = segment.ack;
}

// §3.10.7.3: what a SYN-ACK carries besides.
void take_early_text(Core& core, Tcb& tcb, Segment& segment, Instant now) {
  if (segment.size == 0) return;
  segment.flags &= static_cast<std::uint16_t>(~wire::kTcpSyn);
  segment.seq += 1;
  trim_to_window(core, tcb, segment);
  process_text(core, tcb, segment, now);
}

// A TCB for a SYN, or for a cookie that has come back.
Tcb* create_passive(Core& core, Listener& listener, const Segment& segment, Instant now) {
  Tcb* tcb = create(core, segment.tuple, listener.options.stream, now);
  if (tcb == nullptr) return nullptr;
  tcb->listener = {.index = static_cast<std::uint32_t>(&listener - core.listeners.data()),
                   .generation = listener.generation};
  tcb->accepted = false;
  ++listener.half_open;
  set_state(core, *tcb, State::kSynReceived, now);
  return tcb;
}

void accept_cookie(Core& core, Listener& listener, Segment& segment, Instant now) {
  const bool expected = listener.overflowed != Instant::min() &&
                        now - listener.overflowed < kCookieLife &&
                        !wants_authentication(listener, segment.tuple);
  const auto options = expected ? check_cookie(core, segment, now) : std::nullopt;
  if (!options) {
    if (expected) core.counters.count(Discard::kCookieInvalid);
    answer_with_reset(core, segment, now);
    return;
  }
  if (listener.unaccepted >= listener.options.backlog) {
    core.counters.count(Discard::kAcceptQueueFull);
    return;
  }
  Tcb* tcb = create_passive(core, listener, segment, now);
  if (tcb == nullptr) return;
  ++core.counters.cookies_in;
  Segment syn{.tuple = segment.tuple, .seq = segment.seq - 1};
  syn.options.mss = options->mss;
  syn.options.sack_permitted = options->sack;
  if (options->timestamps) syn.options.timestamps = segment.options.timestamps;
  if (options->wscale_on) syn.options.window_scale = options->wscale;
  take_syn(core, *tcb, syn, now);
  tcb->ecn_on = options->ecn;
  tcb->iss = segment.ack - 1;
  tcb->snd_una = tcb->iss;
  tcb->snd_nxt = tcb->iss + 1;
  tcb->retries = 1;                // no time was taken
  tcb->options.defer_accept = {};  // nothing would be kept of the peer's data, and no timer runs
  segment_arrives(core, *tcb, segment, now);
}

// The peer had a connection of these ports, whose end it has now been told: the next SYN will be
// heard. Once, for the answer may be somebody's who wants to see SYNs.
void ask_again_soon(Core& core, Tcb& tcb, Instant now) {
  if (tcb.retries > 0) return;
  arm(core, tcb, Timer::kRetransmit,
      std::min(tcb.deadline(Timer::kRetransmit), now + core.config.syn_after_reset));
}

// RFC 6298 §2.2, §3, once.
void measure_handshake(const Core& core, Tcb& tcb, Instant now) {
  if (tcb.srtt != Duration{}) return;
  if (tcb.retries == 0) {
    const Instant answered = tcb.deferred ? tcb.progress_at : now;
    const Duration rtt = std::max(answered - tcb.last_sent, Duration(1));
    measure_rtt(core.config, tcb, rtt);
    tcb.min_rtt = rtt;
  } else if (tcb.backoff > 0 && !tcb.deferred) {
    tcb.rto = core.config.rto_after_lost_syn;  // §5.7: it may be a long path
  }
}

}  // namespace

unsigned deferrals(const Core& core, const Tcb& tcb) {
  constexpr unsigned kMost = 255;
  unsigned count = 0;
  Duration period{};
  Duration timeout = core.config.initial_rto;
  while (tcb.options.defer_accept > period && count < kMost) {
    ++count;
    period += timeout;
    timeout = std::min(2 * timeout, core.config.max_rto);
  }
  return count;
}

void become_established(Core& core, Tcb& tcb, const Segment& segment, Instant now) {
  tcb.snd_una = tcb.iss + 1;
  tcb.una_offset = 0;
  tcb.high_seq = tcb.dsack_round = tcb.flight_round_end = tcb.rack_fack = tcb.snd_sml = tcb.snd_nxt;
  take_window(tcb, segment);
  begin_mtu_search(core, tcb, now);
  update_mss(core, tcb, now);
  // A SYN that was lost says that the path is full: RFC 6298 §5.7, RFC 6928 §2.
  const bool lost = tcb.retries > 1 && !tcb.deferred;
  tcb.congestion.cwnd = lost ? tcb.mss : initial_cwnd(core.config, tcb.mss);
  measure_handshake(core, tcb, now);
  bbr_established(tcb, now);
  if (is_unsent_bounded(core, tcb)) bound_unsent(core, tcb);
  note_answer(tcb, now);
  tcb.delivered = 1;
  tcb.retries = tcb.backoff = 0;
  tcb.retransmit_mode = RetransmitMode::kNone;
  disarm(tcb, Timer::kRetransmit);
  if (tcb.options.keepalive) arm(core, tcb, Timer::kLife, now + tcb.options.keepalive_idle);
  tcb.last_data_received = now;
  ++core.counters.established;
  set_state(core, tcb, State::kEstablished, now);
  core.network.confirm(tcb.tuple.remote.address, now);
  if (core.config.local_bypass) note_local(core, tcb);
  mark_pending(core, tcb);
}

void open_active(Core& core, Tcb& tcb, Instant now) {
  tcb.is_active = true;
  tcb.iss = initial_sequence(core, tcb.tuple, now);
  tcb.snd_una = tcb.iss;
  tcb.snd_nxt = tcb.iss + 1;
  update_mss(core, tcb, now);
  set_state(core, tcb, State::kSynSent, now);
  if (delay_syn(core, tcb, now)) return;
  send_syn(core, tcb, now);
  arm(core, tcb, Timer::kRetransmit, now + tcb.rto);
}

// RFC 9293 §3.10.7.2.
void listen_arrives(Core& core, Listener& listener, Segment& segment, std::optional<Seq> after,
                    Instant now) {
  if (segment.has(wire::kTcpRst)) return;  // first
  if (segment.has(wire::kTcpAck)) {        // second
    if (segment.has(wire::kTcpSyn) || segment.has(wire::kTcpFin)) {
      answer_with_reset(core, segment, now);
    } else {
      accept_cookie(core, listener, segment, now);
    }
    return;
  }
  if (!segment.has(wire::kTcpSyn)) {  // fourth
    core.counters.count(Discard::kNoAck);
    return;
  }
  if (segment.has(wire::kTcpFin)) {
    core.counters.count(Discard::kFlags);
    return;
  }
  // Third.
  if (listener.unaccepted >= listener.options.backlog) {
    core.counters.count(Discard::kAcceptQueueFull);
    return;
  }
  if (listener.half_open >= listener.options.backlog) {
    if (!wants_authentication(listener, segment.tuple)) {
      listener.overflowed = now;
      send_cookie(core, listener, segment, now);
      return;
    }
    // A cookie would not remember the keys. Whoever has one gets in beside those who have none.
    if (listener.half_open >= 2 * std::uint64_t{listener.options.backlog}) {
      core.counters.count(Discard::kAcceptQueueFull);
      return;
    }
  }
  Tcb* tcb = create_passive(core, listener, segment, now);
  if (tcb == nullptr) return;
  tcb->segments_in = 1;
  take_syn(core, *tcb, segment, now);
  grant_ecn(core, *tcb, segment);
  tcb->iss = initial_sequence(core, tcb->tuple, now);
  if (after) tcb->iss = max(tcb->iss, *after + 65536);
  begin_authentication(core, *tcb, listener, segment);
  tcb->snd_una = tcb->iss;
  tcb->snd_nxt = tcb->iss + 1;
  take_window(*tcb, segment);
  update_mss(core, *tcb, now);
  const FastOpen fast_open =
      tcb->authentication != nullptr ? FastOpen::kNone : judge_fast_open(core, listener, segment);
  if (fast_open == FastOpen::kAccept && open_fast(core, *tcb, listener, segment, now)) return;
  tcb->gives_cookie = fast_open == FastOpen::kGiveCookie;
  send_syn(core, *tcb, now);
  arm(core, *tcb, Timer::kRetransmit, now + tcb->rto);
}

void syn_sent_arrives(Core& core, Tcb& tcb, Segment& segment, Instant now) {
  // First: ACK.
  const bool ack = segment.has(wire::kTcpAck);
  if (ack && (segment.ack <= tcb.iss || segment.ack > tcb.snd_nxt)) {
    core.counters.count(Discard::kAckUnacceptable);
    answer_with_reset(core, segment, now);
    if (!segment.has(wire::kTcpRst)) ask_again_soon(core, tcb, now);
    return;
  }
  // Second: RST.
  if (segment.has(wire::kTcpRst)) {
    if (ack) {
      finish(core, tcb, End::kRefused, now);
    } else {
      core.counters.count(Discard::kRstUnacceptable);
    }
    return;
  }
  // Fourth: SYN.
  if (!segment.has(wire::kTcpSyn) || segment.has(wire::kTcpFin)) {
    core.counters.count(Discard::kFlags);
    return;
  }
  take_syn(core, tcb, segment, now);
  if (ack) {
    take_granted_ecn(core, tcb, segment);
    // What it does not acknowledge of a SYN's data has not been sent.
    tcb.snd_nxt = segment.ack;
    become_established(core, tcb, segment, now);
    take_fast_syn_ack(core, tcb, segment, now);
    take_early_text(core, tcb, segment, now);
    tcb.events.established = !tcb.opened_fast;
    if (tcb.options.defer_accept > Duration{} && segment.size == 0) {
      tcb.ack_delayed = true;
      arm(core, tcb, Timer::kDelayedAck, now + kLongDelayedAck);
    } else {
      tcb.ack_now = true;
    }
    // RFC 9768 §3.2.2.1: it says how the SYN-ACK came, which a segment with data cannot.
    if (has_accurate_ecn(tcb)) send_ack(core, tcb, now);
    return;
  }
  // Simultaneous open: RFC 9293 §3.5, figure 7. snd_nxt stays behind the data of our SYN, for the
  // peer may have taken it; the peer's comes again.
  take_window(tcb, segment);
  tcb.ecn_on = false;
  set_state(core, tcb, State::kSynReceived, now);
  send_syn(core, tcb, now);
}

bool hand_over(Core& core, Tcb& tcb, Listener& listener, Instant now) {
  if (listener.unaccepted >= listener.options.backlog) {
    core.counters.count(Discard::kAcceptQueueFull);
    return false;
  }
  --listener.half_open;
  ++listener.unaccepted;
  const Attachment attachment =
      listener.owner->incoming(tcb.listener, id_of(core, tcb), tcb.tuple, now);
  if (attachment.owner == nullptr) {
    core.counters.count(Discard::kAcceptQueueFull);
    ++listener.half_open;
    --listener.unaccepted;
    return false;
  }
  tcb.attachment = attachment;
  return true;
}

namespace {

// Whether this acknowledgment of our SYN-ACK is passed over, for it has no data.
bool defers(Core& core, Tcb& tcb, const Segment& segment, Instant now) {
  const bool empty = segment.size == 0 && !segment.has(wire::kTcpFin);
  if (!empty || tcb.retries >= deferrals(core, tcb)) return false;
  core.counters.count(Discard::kAcceptDeferred);
  if (!std::exchange(tcb.deferred, true)) tcb.progress_at = now;
  return true;
}

}  // namespace

bool establish(Core& core, Tcb& tcb, const Segment& segment, Instant now) {
  if (tcb.is_active) {
    // What it does not acknowledge of a SYN's data has not been sent.
    tcb.snd_nxt = segment.ack;
    become_established(core, tcb, segment, now);
    take_fast_syn_ack(core, tcb, segment, now);
    tcb.events.established = !tcb.opened_fast;
    return true;
  }
  if (defers(core, tcb, segment, now)) return false;
  Listener* listener = find(core, tcb.listener);
  if (listener == nullptr) {
    send_reset(core, tcb, now);
    finish(core, tcb, End::kAborted, now);
    return false;
  }
  measure_handshake(core, tcb, now);  // the owner may want to know how far the peer is
  if (!hand_over(core, tcb, *listener, now)) return false;
  become_established(core, tcb, segment, now);
  return true;
}

}  // namespace tideline::tcp
