// SPDX-License-Identifier: Apache-2.0
// BBR version 3: a model of the path, its bandwidth, its round trip and how much it holds, from
// which follow a rate and a window. draft-ietf-ccwg-bbr (of August 2026); functions have its names
// and its order, C is what the connection tells, RS the sample of an acknowledgment. Sections are
// the draft's. bbr_flow.h joins it to a connection. Thread: the worker's.
//
//    Startup --> Drain --> ProbeBW: DOWN --> CRUISE --> REFILL --> UP --.
//       ^                            ^ `------------------^             |
//       |  the pipe was not full     `----------------------------------'
//    ProbeRTT  <---- from any, when the shortest round trip is five seconds old
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>

#include "base/random.h"
#include "base/time.h"
#include "tcp/delivery_rate.h"

namespace tideline::tcp {

// C: the connection as it is now. Volumes are bytes.
struct BbrConnection {
  Instant now{};
  Rng& rng;
  std::uint32_t& cwnd;
  std::uint32_t inflight = 0;
  std::uint32_t smss = 0;
  std::uint32_t initial_cwnd = 0;
  Duration srtt{};  // 0: not yet known
  Duration min_rtt = Duration::max();
  bool has_selective_acks = false;
  bool in_loss_recovery = false;  // fast recovery, or after a time-out
  bool in_fast_recovery = false;

  double min_pipe_cwnd() const { return 4.0 * smss; }  // §2.7
};

class Bbr {
 public:
  enum class State : std::uint8_t {
    kStartup,
    kDrain,
    kProbeBwDown,
    kProbeBwCruise,
    kProbeBwRefill,
    kProbeBwUp,
    kProbeRtt,
  };
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();

  DeliveryRate rate;

  // §5.2: what happens to a connection.
  void on_init(const BbrConnection& c);
  void on_transmit(const BbrConnection& c);    // before
  void update_on_ack(const BbrConnection& c);  // of new data, after losses are marked
  void handle_lost_packet(const BbrConnection& c, const Range& p);
  void handle_spurious_loss_detection(const BbrConnection& c);
  void on_enter_loss_recovery(const BbrConnection& c);  // either, before it has begun
  void on_exit_loss_recovery(const BbrConnection& c) { restore_cwnd(c); }
  // A tail probe has repaired it, before anybody marked it.
  void on_repaired_loss(const BbrConnection& c) { note_loss(c); }
  // §3.6: a CE mark is congestion, as a loss is. Once in a window.
  void on_congestion_mark(const BbrConnection& c);
  // The window, not the application or the rate, has bounded what was sent.
  void note_cwnd_limited() { cwnd_limited_now_ = true; }

  std::uint64_t pacing_rate() const { return static_cast<std::uint64_t>(pacing_rate_); }
  State state() const { return state_; }
  double bw() const { return bw_; }  // bytes per second
  double max_bw() const { return max_bw_; }
  double inflight_longterm() const { return inflight_longterm_; }
  double pacing_gain() const { return pacing_gain_; }
  double cwnd_gain() const { return cwnd_gain_; }
  Duration min_rtt() const { return min_rtt_; }

 private:
  using C = const BbrConnection&;
  enum class AckPhase : std::uint8_t {
    kInit,
    kRefilling,
    kProbeStarting,
    kProbeFeedback,
    kProbeStopping,
  };
  enum class Undo : std::uint8_t { kNone, kStartup, kProbeBwUp };
  static constexpr double kStartupPacingGain = 2.77;
  static constexpr double kProbeRttCwndGain = 0.5;

  // §5.3.1.
  void enter_startup();
  void check_startup_done(C c);
  void reset_full_bw();
  void check_full_bw_reached();
  void check_startup_high_loss(C c);
  void leave_startup_for_congestion();
  // §5.3.2.
  void enter_drain();
  void check_drain_done(C c);
  // §5.3.3.
  bool is_time_to_probe_bw(C c);
  void pick_probe_wait(C c);
  bool is_reno_coexistence_probe_time(C c) const;
  double target_inflight(C c) const;
  void enter_probe_bw(C c);
  void start_probe_bw_down(C c);
  void start_probe_bw_cruise();
  void start_probe_bw_refill();
  void start_probe_bw_up(C c);
  void update_probe_bw_cycle_phase(C c);
  bool is_in_a_probe_bw_state() const;
  bool is_time_to_cruise(C c) const;
  bool is_time_to_go_down(C c);
  bool is_probing_bw() const;
  double inflight_with_headroom(C c) const;
  void raise_inflight_longterm_slope(C c);
  void probe_inflight_longterm_upward(C c);
  bool adapt_long_term_model(C c);
  // §5.3.4.
  void update_min_rtt(C c);
  void check_probe_rtt(C c);
  void enter_probe_rtt();
  void handle_probe_rtt(C c);
  void check_probe_rtt_done(C c);
  void exit_probe_rtt(C c);
  // §5.4.
  void handle_restart_from_idle(C c);
  // §5.5.
  void update_round();
  void start_round() { next_round_delivered_ = rate.delivered(); }
  void update_max_bw();
  void advance_max_bw_filter();
  void update_ack_aggregation(C c);
  void note_loss(C c);
  static bool is_inflight_too_high(C c, const RateSample& rs);
  void handle_inflight_too_high(C c, const RateSample& rs);
  static std::uint32_t inflight_at_loss(const RateSample& rs, std::uint32_t size);
  void update_latest_delivery_signals();
  void advance_latest_delivery_signals();
  void reset_congestion_signals();
  void update_congestion_signals(C c);
  void adapt_lower_bounds_from_congestion(C c);
  void reset_short_term_model();
  void bound_bw_for_model();
  void save_state_upon_loss(C c);
  // §5.6.
  void init_pacing_rate(C c);
  void set_pacing_rate_with_gain(double gain);
  void set_send_quantum(C c);
  double bdp_multiple(C c, double bw, double gain) const;
  double quantization_budget(C c, double inflight_cap) const;
  double inflight(C c, double bw, double gain) const;
  void set_cwnd(C c);
  void save_cwnd(C c);
  void restore_cwnd(C c) const;
  double probe_rtt_cwnd(C c) const;
  void bound_cwnd_for_model(C c) const;
  bool is_cwnd_limited() const { return cwnd_limited_now_ || cwnd_limited_before_; }

  const RateSample& rs() const { return rate.sample(); }

  State state_ = State::kStartup;
  AckPhase ack_phase_ = AckPhase::kInit;
  Undo undo_state_ = Undo::kNone;
  bool round_start_ = false;
  bool loss_round_start_ = false;
  bool idle_restart_ = false;
  bool full_bw_reached_ = false;
  bool full_bw_now_ = false;
  bool is_bw_probe_sample_ = false;
  bool is_loss_in_round_ = false;
  bool prev_probe_too_high_ = false;
  bool prev_probe_precautionary_ = false;
  bool probe_rtt_expired_ = false;
  bool probe_rtt_round_done_ = false;
  bool cwnd_limited_now_ = false;     // in this round
  bool cwnd_limited_before_ = false;  // in the one before
  std::uint8_t full_bw_count_ = 0;
  std::uint8_t loss_events_in_round_ = 0;
  std::uint8_t bw_probe_up_rounds_ = 0;
  Seq last_lost_end_;

  double pacing_gain_ = 1;
  double cwnd_gain_ = 2;
  double pacing_rate_ = 0;
  double send_quantum_ = 0;

  std::uint32_t round_count_ = 0;
  std::uint32_t drain_start_round_ = 0;
  std::uint32_t rounds_since_probe_up_ = 0;
  std::uint32_t prior_cwnd_ = 0;
  std::uint64_t next_round_delivered_ = 0;
  std::uint64_t loss_round_delivered_ = 0;

  // Rates: bytes per second. The two cycles of the filter: before, and now.
  std::array<double, 2> max_bw_filter_{};
  double max_bw_ = 0;
  double bw_shortterm_ = kInfinity;
  double bw_ = 0;
  double bw_latest_ = 0;
  double full_bw_ = 0;
  // Volumes.
  double inflight_longterm_ = kInfinity;
  double inflight_shortterm_ = kInfinity;
  double inflight_latest_ = 0;
  double probe_up_acked_per_inc_ = kInfinity;
  double bw_probe_up_acked_ = 0;
  double undo_bw_shortterm_ = 0;
  double undo_inflight_shortterm_ = 0;
  double undo_inflight_longterm_ = 0;
  double extra_acked_delivered_ = 0;
  double extra_acked_ = 0;
  // The greatest of each of the last rounds, by their count.
  std::array<std::uint32_t, 10> extra_acked_filter_{};

  Duration min_rtt_ = Duration::max();
  Duration probe_rtt_min_delay_ = Duration::max();
  Duration bw_probe_wait_{};
  Instant min_rtt_stamp_{};
  Instant probe_rtt_min_stamp_{};
  Instant probe_rtt_done_stamp_{};  // zero: not begun
  Instant extra_acked_interval_start_{};
  Instant cycle_stamp_{};
};

// "ProbeBW_UP".
std::string_view name_of(Bbr::State state);

}  // namespace tideline::tcp
