// SPDX-License-Identifier: Apache-2.0
// The transmission control block: a connection's state, named as in RFC 9293 §3.3.1. Data only: the
// roles (handshake, receiver, sender, recovery, timers) are functions on it, and only set_state()
// (core.h) changes `state`. Thread: the worker's.
#pragma once

#include <array>
#include <cstdint>

#include "base/time.h"
#include "tcp/congestion.h"
#include "tcp/reassembly.h"
#include "tcp/scoreboard.h"
#include "tcp/stream.h"
#include "tcp/timer_wheel.h"
#include "wire/tcp_options.h"

namespace tideline::tcp {

// What a connection waits for. One node on the wheel serves them all.
enum class Timer : std::uint8_t {
  kRetransmit,  // in one of the modes below
  kDelayedAck,
  kPace,  // more may be sent: pacing, cork
  kLife,  // keepalive, FIN-WAIT-2, TIME-WAIT
};
inline constexpr std::size_t kTimerCount = 4;

enum class RetransmitMode : std::uint8_t {
  kNone,
  kRto,
  kTailProbe,  // RFC 8985 §7
  kReorder,    // RFC 8985 §6.2, step 5
  kPersist,    // RFC 9293 §3.8.6.1
};

// What a sender spends its time with.
enum class Activity : std::uint8_t {
  kIdle,
  kSending,
  kWindowLimited,  // the peer's window holds it up
  kBufferLimited,  // the send buffer is too small for the window
};

// What the owner has yet to be told.
struct Events {
  bool established = false;
  bool readable = false;
  bool peer_closed = false;
  bool writable = false;
  bool ended = false;
};

struct AccurateEcn;
struct Authentication;
class Bbr;
struct Core;
struct Incidents;
struct MtuSearch;

struct Tcb : TimerNode {
  // Who and what.
  Core* core = nullptr;
  Tuple tuple;
  std::uint32_t generation = 0;
  std::uint32_t chain = 0;  // of the connection table: index + 1
  State state = State::kClosed;
  End end = End::kNone;
  End soft_error = End::kNone;  // what the network said, should the peer stay silent
  Events events;
  bool in_use = false;
  bool closed_by_owner = false;  // nobody reads any more
  bool shut_down = false;        // a FIN goes behind what the send buffer holds
  bool is_pending = false;       // on the core's list
  bool path_mtu_changed = false;
  End hard_error = End::kNone;  // ends the connection at the next flush
  bool is_active = false;       // we opened it
  bool accepted = true;         // not in a listener's queue
  bool deferred = false;        // the peer has answered our SYN-ACK, and its data is waited for
  bool gives_cookie = false;    // with its SYN-ACK, for fast open
  bool syn_ack_owed = false;    // fast open: established, and the peer has not answered yet
  bool syn_data = false;        // of the peer's came and was taken, or of ours
  bool fast_syn = false;        // our SYN has the option of fast open
  bool syn_waits = false;       // for data to take along
  bool opened_fast = false;     // the owner could write at once
  bool is_local = false;        // the other end is a connection of this host, or was
  bool syn_declined = false;    // in TIME-WAIT: one came that could be old
  bool fast_child = false;      // a listener's, by its cookie
  FastOpenFailure fast_open_failure = FastOpenFailure::kNone;
  bool is_rcv_up_known = false;  // an urgent byte is, which has yet to come: rcv_up
  Tcb* pending_next = nullptr;
  Tcb* time_wait_next = nullptr;
  Tcb* time_wait_prev = nullptr;
  ListenerId listener;
  Attachment attachment;
  StreamOptions options;
  const CongestionControl* control = nullptr;

  // Negotiated.
  bool timestamps_on = false;
  bool wscale_on = false;
  bool sack_on = false;
  bool ecn_on = false;          // of RFC 3168
  std::uint8_t snd_wscale = 0;  // of windows that come
  std::uint8_t rcv_wscale = 0;  // of windows that go
  std::uint16_t peer_mss = 536;
  std::uint16_t path_mtu = 0;
  std::uint16_t mss = 536;  // payload of a full segment, timestamps subtracted

  // Send sequence variables.
  Seq iss;
  Seq snd_una;
  Seq snd_nxt;
  Seq snd_wl1;
  Seq snd_wl2;
  Seq snd_sml;  // end of the last segment that was not full: RFC 896 as Minshall has it
  std::uint32_t snd_wnd = 0;
  std::uint32_t max_snd_wnd = 0;
  bool fin_sent = false;
  bool more_to_come = false;     // what does not fill a segment waits for more, a while
  bool more_was_said = false;    // by whoever wrote last
  bool pushed = false;           // nothing waits, this time
  std::uint64_t una_offset = 0;  // of snd_una, in the stream
  std::uint64_t snd_up = 0;      // where what is urgent ends, in the stream
  std::uint64_t write_end = 0;   // how much the send buffer was seen to hold
  Seq notsent_from;              // what was sent when the owner was last told how much to write
  std::uint32_t snd_wanted = 0;  // bytes that the send buffer was asked to hold
  Scoreboard scoreboard;

  // Frames that borrow from the send buffer: made since the turn, and before. What was acknowledged
  // before the turn is released when the older ones are gone.
  std::array<std::uint32_t, 2> loans{};
  std::uint8_t loan_turn = 0;
  std::uint32_t lent_bytes = 0;
  std::uint64_t release_at = 0;  // when the older loans are back
  std::uint64_t released = 0;

  // Receive sequence variables.
  Seq irs;
  Seq rcv_nxt;
  Seq rcv_adv;  // the right edge of the window that was told
  Seq last_ack_sent;
  Seq rcv_up;                       // the urgent byte itself
  std::uint32_t unacked_bytes = 0;  // received
  std::uint64_t rcv_offset = 0;     // of rcv_nxt, in the stream
  std::uint32_t rcv_space = 0;      // the largest window that there was room for
  std::uint32_t rcv_taken = 0;      // the most that the owner took in a round trip
  Seq rcv_round_end;                // a round trip of the peer's data ends here at the latest
  Seq fin_seq;
  Instant rcv_round_at{};              // when it began
  Duration rcv_rtt = Duration::max();  // as the receiver sees it
  Duration rcv_rtt_told{};             // by timestamps, less their grain
  Instant rcv_sized_at{};              // when the owner's pace was last looked at
  std::uint64_t rcv_sized = 0;         // and how much it had consumed
  std::uint16_t rcv_mss = 536;         // the size of the peer's full segments, as seen
  bool ack_now = false;
  bool ack_delayed = false;  // one is owed
  bool fin_received = false;
  bool fin_known = false;        // fin_seq is valid: it may still lie behind a hole
  bool ece = false;              // echo congestion until CWR comes: RFC 3168 §6.1.3
  std::uint8_t quick_acks = 16;  // so many more are not delayed
  Reassembly reassembly;
  wire::SackBlock dsack;  // to be told; empty if equal

  // Timestamps: RFC 7323.
  std::uint32_t ts_offset = 0;
  std::uint32_t ts_recent = 0;
  Instant ts_recent_at{};

  // Round-trip time: RFC 6298.
  Duration srtt{};
  Duration rttvar{};
  Duration min_rtt = Duration::max();
  Duration rto{};
  std::uint8_t backoff = 0;

  // Recovery: RFC 6675, 8985, 6937, 5682.
  RecoveryState recovery = RecoveryState::kOpen;
  bool frto = false;        // RFC 5682: whether the time-out was spurious is open
  bool prefer_new = false;  // its step 2b: new data tells more than what seems lost
  bool reordering_seen = false;
  bool tlp_sent = false;
  bool tlp_is_retransmission = false;
  std::uint8_t dup_acks = 0;  // without SACK
  std::uint8_t reo_wnd_mult = 1;
  std::uint8_t reo_wnd_persist = 16;
  Seq high_seq;  // recovery ends when it is acknowledged
  Seq tlp_end;
  Seq rack_fack;  // the highest that was delivered
  Seq rack_end;   // of the latest that was sent and delivered
  Seq dsack_round;
  Instant rack_sent{};
  Duration rack_rtt{};
  std::uint32_t prr_delivered = 0;
  std::uint32_t prr_out = 0;
  std::uint32_t prr_flight = 0;  // RecoverFS
  // To undo a reduction that was for nothing.
  bool undo_armed = false;
  bool undo_resent = false;  // anything since
  std::uint32_t undo_cwnd = 0;
  std::uint32_t undo_ssthresh = 0;
  std::uint32_t undo_retransmitted = 0;  // bytes that DSACKs have not yet explained
  std::uint32_t retransmit_stamp = 0;    // TSval of the episode's first retransmission; 0: none

  CongestionState congestion;
  Bbr* bbr = nullptr;                        // if it has chosen BBR
  AccurateEcn* accurate_ecn = nullptr;       // if both ends know it
  Authentication* authentication = nullptr;  // if it has keys
  MtuSearch* mtu_search = nullptr;           // if it looks for its path's MTU
  Incidents* incidents = nullptr;            // if there were any
  bool cwnd_limited = false;
  bool dup_acks_idle = false;    // without SACK: they begin no recovery
  bool snd_cwr = false;          // the next new data carries CWR
  bool ecn_unmarked = false;     // the peer's marks are echoed, and nothing of ours is ECT
  std::uint32_t max_flight = 0;  // in the present round
  Seq flight_round_end;
  std::uint32_t delivered = 0;  // segments, and the SYN

  // Timers.
  std::array<Instant, kTimerCount> deadlines{kNever, kNever, kNever, kNever};
  RetransmitMode retransmit_mode = RetransmitMode::kNone;
  std::uint8_t retries = 0;     // time-outs in a row
  std::uint8_t keepalives = 0;  // probes in a row
  Instant progress_at{};        // when snd_una advanced, or the flight began
  Instant last_received{};
  Instant last_data_received{};
  Instant last_sent{};
  Instant last_data_sent{};
  Instant pace_until{};
  Instant last_challenge{};
  Instant cork_since = kNever;

  // Figures.
  Activity activity = Activity::kIdle;
  bool ect_seen = false;          // a segment came that could be marked
  bool rate_app_limited = false;  // of rate_delivered
  Instant activity_since{};
  Duration busy{};  // before
  std::uint32_t reordering = 3;
  std::uint32_t data_segments_in = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t segments_in = 0;
  std::uint64_t segments_out = 0;
  std::uint32_t data_segments_out = 0;
  // How fast the path delivers, by rounds: figures.h.
  Seq rate_end;                      // it ends when that is acknowledged
  Instant rate_since{};              // when the present one began; zero: none has
  std::uint32_t rate_from = 0;       // bytes delivered before it
  std::uint32_t rate_delivered = 0;  // in the round that counts
  std::uint32_t rate_us = 0;         // and how long it took

  Instant& deadline(Timer timer) { return deadlines[static_cast<std::size_t>(timer)]; }
  bool is_synchronized() const { return state >= State::kEstablished; }
  // Data may be sent, now or by retransmission.
  bool may_send() const {
    return state == State::kEstablished || state == State::kCloseWait ||
           state == State::kFinWait1 || state == State::kClosing || state == State::kLastAck;
  }
  std::uint32_t outstanding() const { return snd_nxt - snd_una; }
  // Without SACK, each duplicate acknowledgment says that a segment has arrived.
  std::uint32_t in_flight() const {
    const std::uint32_t flight = scoreboard.in_flight(outstanding());
    const std::uint32_t arrived = std::uint32_t{dup_acks} * mss;
    return flight > arrived ? flight - arrived : 0;
  }
  // RFC 9293 §3.8.5: something urgent has yet to be acknowledged.
  bool is_urgent() const { return snd_up > una_offset; }
  // The stream's end, if it has one, is the FIN.
  std::uint64_t snd_offset(Seq seq) const { return una_offset + (seq - snd_una); }
  std::uint32_t rcv_wnd() const { return rcv_adv > rcv_nxt ? rcv_adv - rcv_nxt : 0; }
};

static_assert(sizeof(Tcb) <= 1024, "state per idle connection, beside its buffers");

}  // namespace tideline::tcp
