// SPDX-License-Identifier: Apache-2.0
// The states, §5.2 to §5.4.
#include "tcp/bbr.h"

#include <algorithm>
#include <chrono>

namespace tideline::tcp {
namespace {

using Seconds = std::chrono::duration<double>;

// §2.5 to §2.14.
constexpr double kDrainPacingGain = 0.5;
constexpr double kProbeDownPacingGain = 0.9;
constexpr double kProbeUpPacingGain = 1.25;
constexpr double kDefaultCwndGain = 2;
constexpr double kProbeUpCwndGain = 2.25;
constexpr double kHeadroom = 0.15;
constexpr std::uint8_t kStartupFullLossCount = 6;
constexpr std::uint32_t kMostRenoRounds = 63;
constexpr Duration kMinRttFilterLength = std::chrono::seconds(10);
constexpr Duration kProbeRttInterval = std::chrono::seconds(5);
constexpr Duration kProbeRttDuration = std::chrono::milliseconds(200);

}  // namespace

std::string_view name_of(Bbr::State state) {
  static constexpr std::array<std::string_view, 7> kNames{
      "Startup",        "Drain",      "ProbeBW_DOWN", "ProbeBW_CRUISE",
      "ProbeBW_REFILL", "ProbeBW_UP", "ProbeRTT"};
  return kNames[static_cast<std::size_t>(state)];
}

// §5.2.1. What is not set here is so from the beginning.
void Bbr::on_init(C c) {
  min_rtt_ = c.srtt > Duration{} ? c.srtt : Duration::max();
  probe_rtt_min_delay_ = min_rtt_;
  min_rtt_stamp_ = probe_rtt_min_stamp_ = extra_acked_interval_start_ = c.now;
  init_pacing_rate(c);
  set_send_quantum(c);
  enter_startup();
}

// §5.2.2.
void Bbr::on_transmit(C c) { handle_restart_from_idle(c); }

// §5.2.3.
void Bbr::update_on_ack(C c) {
  rate.generate_rate_sample(c.min_rtt);
  if (!rs().has_data) return;
  update_latest_delivery_signals();
  update_congestion_signals(c);
  update_ack_aggregation(c);
  check_full_bw_reached();
  check_startup_done(c);
  check_drain_done(c);
  update_probe_bw_cycle_phase(c);
  update_min_rtt(c);
  check_probe_rtt(c);
  advance_latest_delivery_signals();
  bound_bw_for_model();
  set_pacing_rate_with_gain(pacing_gain_);
  set_send_quantum(c);
  set_cwnd(c);
}

// §5.3.1.1.
void Bbr::enter_startup() {
  state_ = State::kStartup;
  pacing_gain_ = kStartupPacingGain;
  cwnd_gain_ = kDefaultCwndGain;
}

void Bbr::check_startup_done(C c) {
  check_startup_high_loss(c);
  if (state_ == State::kStartup && full_bw_reached_) enter_drain();
}

// §5.3.1.2.
void Bbr::reset_full_bw() {
  full_bw_ = 0;
  full_bw_count_ = 0;
  full_bw_now_ = false;
}

void Bbr::check_full_bw_reached() {
  if (full_bw_now_ || !round_start_ || rs().is_app_limited) return;
  if (rs().delivery_rate >= full_bw_ * 1.25) {
    reset_full_bw();
    full_bw_ = rs().delivery_rate;
    return;
  }
  ++full_bw_count_;
  full_bw_now_ = full_bw_count_ >= 3;
  if (full_bw_now_) full_bw_reached_ = true;
}

// §5.3.1.3. A round with losses begins with the first of them, so that where one ends, recovery has
// lasted a round trip.
void Bbr::check_startup_high_loss(C c) {
  if (full_bw_reached_ || state_ != State::kStartup) return;
  const bool high = c.has_selective_acks
                        ? loss_round_start_ && loss_events_in_round_ >= kStartupFullLossCount &&
                              is_inflight_too_high(c, rs())
                        : loss_events_in_round_ > 0;
  if (c.in_fast_recovery && high) {
    leave_startup_for_congestion();
    return;
  }
  if (loss_round_start_) loss_events_in_round_ = 0;
}

void Bbr::leave_startup_for_congestion() {
  undo_state_ = Undo::kStartup;
  full_bw_reached_ = true;
  const double bdp = min_rtt_ == Duration::max() ? 0 : bw_ * Seconds(min_rtt_).count();
  inflight_longterm_ = std::max(bdp, inflight_latest_);
}

// §5.3.2.
void Bbr::enter_drain() {
  state_ = State::kDrain;
  pacing_gain_ = kDrainPacingGain;
  cwnd_gain_ = kDefaultCwndGain;
  drain_start_round_ = round_count_;
}

void Bbr::check_drain_done(C c) {
  if (state_ != State::kDrain) return;
  if (c.inflight <= inflight(c, bw_, 1) || round_count_ > drain_start_round_ + 3) enter_probe_bw(c);
}

// §5.3.3.8.
bool Bbr::is_time_to_probe_bw(C c) {
  if (c.now <= cycle_stamp_ + bw_probe_wait_ && !is_reno_coexistence_probe_time(c)) return false;
  start_probe_bw_refill();
  return true;
}

void Bbr::pick_probe_wait(C c) {
  rounds_since_probe_up_ = static_cast<std::uint32_t>(c.rng.below(2));
  bw_probe_wait_ = std::chrono::duration_cast<Duration>(Seconds(2 + c.rng.unit()));
}

bool Bbr::is_reno_coexistence_probe_time(C c) const {
  const double reno_rounds = target_inflight(c) / c.smss;
  return rounds_since_probe_up_ >= std::min<double>(reno_rounds, kMostRenoRounds);
}

double Bbr::target_inflight(C c) const { return std::min<double>(bdp_multiple(c, bw_, 1), c.cwnd); }

// §5.3.3.9. The gains are those of the table in §5.6.1.
void Bbr::enter_probe_bw(C c) { start_probe_bw_down(c); }

void Bbr::start_probe_bw_down(C c) {
  reset_congestion_signals();
  probe_up_acked_per_inc_ = kInfinity;
  pick_probe_wait(c);
  cycle_stamp_ = c.now;
  ack_phase_ = AckPhase::kProbeStopping;
  start_round();
  state_ = State::kProbeBwDown;
  pacing_gain_ = kProbeDownPacingGain;
  cwnd_gain_ = kDefaultCwndGain;
}

void Bbr::start_probe_bw_cruise() {
  state_ = State::kProbeBwCruise;
  pacing_gain_ = 1;
  cwnd_gain_ = kDefaultCwndGain;
}

void Bbr::start_probe_bw_refill() {
  reset_short_term_model();
  bw_probe_up_rounds_ = 0;
  bw_probe_up_acked_ = 0;
  prev_probe_precautionary_ = false;
  ack_phase_ = AckPhase::kRefilling;
  start_round();
  state_ = State::kProbeBwRefill;
  pacing_gain_ = 1;
  cwnd_gain_ = kDefaultCwndGain;
}

void Bbr::start_probe_bw_up(C c) {
  ack_phase_ = AckPhase::kProbeStarting;
  start_round();
  reset_full_bw();
  full_bw_ = rs().delivery_rate;
  state_ = State::kProbeBwUp;
  pacing_gain_ = kProbeUpPacingGain;
  cwnd_gain_ = kProbeUpCwndGain;
  raise_inflight_longterm_slope(c);
}

void Bbr::update_probe_bw_cycle_phase(C c) {
  if (!full_bw_reached_) return;
  if (adapt_long_term_model(c)) return;
  switch (state_) {
    case State::kProbeBwDown:
      if (is_time_to_probe_bw(c)) return;
      if (is_time_to_cruise(c)) start_probe_bw_cruise();
      return;
    case State::kProbeBwCruise:
      is_time_to_probe_bw(c);
      return;
    case State::kProbeBwRefill:
      if (!round_start_) return;
      is_bw_probe_sample_ = true;
      start_probe_bw_up(c);
      return;
    case State::kProbeBwUp:
      if (!is_time_to_go_down(c)) return;
      prev_probe_too_high_ = false;
      start_probe_bw_down(c);
      return;
    case State::kStartup:
    case State::kDrain:
    case State::kProbeRtt:
      return;
  }
}

bool Bbr::is_in_a_probe_bw_state() const {
  return state_ >= State::kProbeBwDown && state_ <= State::kProbeBwUp;
}

bool Bbr::is_time_to_cruise(C c) const {
  return c.inflight <= inflight_with_headroom(c) && c.inflight <= inflight(c, max_bw_, 1);
}

bool Bbr::is_time_to_go_down(C c) {
  if (prev_probe_too_high_ && c.inflight >= inflight_longterm_) {
    prev_probe_precautionary_ = true;
    return true;
  }
  if (is_cwnd_limited() && c.cwnd >= inflight_longterm_) {
    reset_full_bw();
    full_bw_ = rs().delivery_rate;
    return false;
  }
  return full_bw_now_;
}

bool Bbr::is_probing_bw() const {
  return state_ == State::kStartup || state_ == State::kProbeBwRefill ||
         state_ == State::kProbeBwUp;
}

double Bbr::inflight_with_headroom(C c) const {
  if (inflight_longterm_ == kInfinity) return kInfinity;
  const double headroom = std::max<double>(c.smss, kHeadroom * inflight_longterm_);
  return std::max(inflight_longterm_ - headroom, c.min_pipe_cwnd());
}

void Bbr::raise_inflight_longterm_slope(C c) {
  const std::uint32_t growth_this_round = std::uint32_t{1} << bw_probe_up_rounds_;
  if (bw_probe_up_rounds_ < 30) ++bw_probe_up_rounds_;
  probe_up_acked_per_inc_ =
      std::max(static_cast<double>(c.cwnd) / growth_this_round, static_cast<double>(c.smss));
}

void Bbr::probe_inflight_longterm_upward(C c) {
  if (!is_cwnd_limited() || c.cwnd < inflight_longterm_) return;
  bw_probe_up_acked_ += rs().newly_acked;
  if (bw_probe_up_acked_ >= probe_up_acked_per_inc_) {
    const auto delta = static_cast<std::uint32_t>(bw_probe_up_acked_ / probe_up_acked_per_inc_);
    bw_probe_up_acked_ -= delta * probe_up_acked_per_inc_;
    inflight_longterm_ += static_cast<double>(delta) * c.smss;
  }
  if (round_start_) raise_inflight_longterm_slope(c);
}

// True if it has decided on the next state.
bool Bbr::adapt_long_term_model(C c) {
  if (ack_phase_ == AckPhase::kProbeStarting && round_start_) {
    ack_phase_ = AckPhase::kProbeFeedback;
  }
  if (ack_phase_ == AckPhase::kProbeStopping && round_start_) {
    is_bw_probe_sample_ = false;
    ack_phase_ = AckPhase::kInit;
    if (is_in_a_probe_bw_state() && !rs().is_app_limited) advance_max_bw_filter();
    if (is_in_a_probe_bw_state() && prev_probe_precautionary_ && !prev_probe_too_high_) {
      start_probe_bw_refill();
      return true;
    }
  }
  if (is_inflight_too_high(c, rs()) || inflight_longterm_ == kInfinity) return false;
  inflight_longterm_ = std::max<double>(inflight_longterm_, rs().tx_in_flight);
  if (state_ == State::kProbeBwUp) probe_inflight_longterm_upward(c);
  return false;
}

// §5.3.4.3.
void Bbr::update_min_rtt(C c) {
  probe_rtt_expired_ = c.now > probe_rtt_min_stamp_ + kProbeRttInterval;
  if (rs().rtt > Duration{} && (rs().rtt < probe_rtt_min_delay_ || probe_rtt_expired_)) {
    probe_rtt_min_delay_ = rs().rtt;
    probe_rtt_min_stamp_ = c.now;
  }
  const bool min_rtt_expired = c.now > min_rtt_stamp_ + kMinRttFilterLength;
  if (probe_rtt_min_delay_ < min_rtt_ || min_rtt_expired) {
    min_rtt_ = probe_rtt_min_delay_;
    min_rtt_stamp_ = probe_rtt_min_stamp_;
  }
}

void Bbr::check_probe_rtt(C c) {
  if (state_ != State::kProbeRtt && probe_rtt_expired_ && !idle_restart_) {
    enter_probe_rtt();
    save_cwnd(c);
    probe_rtt_done_stamp_ = {};
    ack_phase_ = AckPhase::kProbeStopping;
    start_round();
  }
  if (state_ == State::kProbeRtt) handle_probe_rtt(c);
  if (rs().delivered > 0) idle_restart_ = false;
}

void Bbr::enter_probe_rtt() {
  state_ = State::kProbeRtt;
  pacing_gain_ = 1;
  cwnd_gain_ = kProbeRttCwndGain;
}

void Bbr::handle_probe_rtt(C c) {
  rate.mark_connection_app_limited(c.inflight);
  if (probe_rtt_done_stamp_ == Instant{}) {
    if (c.inflight > probe_rtt_cwnd(c)) return;
    probe_rtt_done_stamp_ = c.now + kProbeRttDuration;
    probe_rtt_round_done_ = false;
    start_round();
    return;
  }
  if (round_start_) probe_rtt_round_done_ = true;
  if (probe_rtt_round_done_) check_probe_rtt_done(c);
}

void Bbr::check_probe_rtt_done(C c) {
  if (probe_rtt_done_stamp_ == Instant{} || c.now <= probe_rtt_done_stamp_) return;
  probe_rtt_min_stamp_ = c.now;
  restore_cwnd(c);
  exit_probe_rtt(c);
}

// §5.3.4.4.
void Bbr::exit_probe_rtt(C c) {
  reset_short_term_model();
  if (!full_bw_reached_) {
    enter_startup();
    return;
  }
  start_probe_bw_down(c);
  start_probe_bw_cruise();
}

// §5.4.1.
void Bbr::handle_restart_from_idle(C c) {
  if (c.inflight > 0 || !rate.is_app_limited()) return;
  idle_restart_ = true;
  extra_acked_interval_start_ = c.now;
  if (is_in_a_probe_bw_state()) {
    set_pacing_rate_with_gain(1);
  } else if (state_ == State::kProbeRtt) {
    check_probe_rtt_done(c);
  }
}

}  // namespace tideline::tcp
