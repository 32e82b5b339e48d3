// SPDX-License-Identifier: Apache-2.0
// The model of the path, §5.5, and what follows from it for rate and window, §5.6.
#include <algorithm>
#include <chrono>

#include "tcp/bbr.h"

namespace tideline::tcp {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr double kPacingMargin = 0.99;
constexpr double kLossThresh = 0.02;
constexpr double kBeta = 0.7;
constexpr double kBetaOfMarks = 0.85;

}  // namespace

// §5.5.1.
void Bbr::update_round() {
  round_start_ = rs().prior_delivered >= next_round_delivered_;
  if (!round_start_) return;
  start_round();
  ++round_count_;
  ++rounds_since_probe_up_;
  extra_acked_filter_[round_count_ % extra_acked_filter_.size()] = 0;
  cwnd_limited_before_ = cwnd_limited_now_;
  cwnd_limited_now_ = false;
}

// §5.5.5.
void Bbr::update_max_bw() {
  update_round();
  if (rs().delivery_rate <= 0) return;
  if (rs().delivery_rate < max_bw_ && rs().is_app_limited) return;
  max_bw_filter_[1] = std::max(max_bw_filter_[1], rs().delivery_rate);
  max_bw_ = std::max(max_bw_filter_[0], max_bw_filter_[1]);
}

// §5.5.6. A cycle without a sample tells nothing: the one before stays.
void Bbr::advance_max_bw_filter() {
  if (max_bw_filter_[1] == 0) return;
  max_bw_filter_ = {max_bw_filter_[1], 0};
  max_bw_ = max_bw_filter_[0];
}

// §5.5.9. The window of the filter: one round in Startup, ten after.
void Bbr::update_ack_aggregation(C c) {
  double expected_delivered = bw_ * Seconds(c.now - extra_acked_interval_start_).count();
  if (extra_acked_delivered_ <= expected_delivered) {
    extra_acked_delivered_ = 0;
    extra_acked_interval_start_ = c.now;
    expected_delivered = 0;
  }
  extra_acked_delivered_ += rs().newly_acked;
  const double extra = std::min<double>(extra_acked_delivered_ - expected_delivered, c.cwnd);
  std::uint32_t& round = extra_acked_filter_[round_count_ % extra_acked_filter_.size()];
  round = std::max(round, static_cast<std::uint32_t>(extra));
  extra_acked_ = full_bw_reached_ ? *std::ranges::max_element(extra_acked_filter_) : round;
}

// §5.5.10.2.
bool Bbr::is_inflight_too_high(C c, const RateSample& rs) {
  return static_cast<double>(rs.lost) > rs.tx_in_flight * kLossThresh ||
         (rs.lost > 0 && !c.has_selective_acks);
}

void Bbr::handle_inflight_too_high(C c, const RateSample& rs) {
  prev_probe_too_high_ = true;
  is_bw_probe_sample_ = false;
  if (!rs.is_app_limited) {
    inflight_longterm_ = std::max<double>(rs.tx_in_flight, target_inflight(c) * kBeta);
  }
  if (state_ == State::kProbeBwUp) {
    undo_state_ = Undo::kProbeBwUp;
    start_probe_bw_down(c);
  }
}

void Bbr::note_loss(C c) {
  if (!is_loss_in_round_) {
    loss_round_delivered_ = rate.delivered();
    save_state_upon_loss(c);
  }
  is_loss_in_round_ = true;
}

void Bbr::handle_lost_packet(C c, const Range& p) {
  rate.count_lost(p.size());
  note_loss(c);
  if (p.begin != last_lost_end_ && loss_events_in_round_ < UINT8_MAX) ++loss_events_in_round_;
  last_lost_end_ = p.end;
  const SendState& sent = p.at_sending;
  if (!is_bw_probe_sample_ || sent.delivered_time == Instant{}) return;
  RateSample rs{.is_app_limited = sent.is_app_limited,
                .lost = rate.lost() - sent.lost,
                .tx_in_flight = sent.tx_in_flight};
  if (!is_inflight_too_high(c, rs)) return;
  rs.tx_in_flight = inflight_at_loss(rs, p.size());
  handle_inflight_too_high(c, rs);
}

// With how much in flight the losses passed the threshold: it may have been within this range.
std::uint32_t Bbr::inflight_at_loss(const RateSample& rs, std::uint32_t size) {
  const double inflight_prev = std::max(static_cast<double>(rs.tx_in_flight) - size, 0.0);
  const double lost_prev = static_cast<double>(rs.lost) - size;
  const double lost_prefix = (kLossThresh * inflight_prev - lost_prev) / (1 - kLossThresh);
  return static_cast<std::uint32_t>(inflight_prev + std::max(lost_prefix, 0.0));
}

// Marks take nothing away from what is delivered, to which the response to loss would adapt: what
// is in flight shrinks by what RFC 8511 has for CUBIC, until the next probe.
void Bbr::on_congestion_mark(C c) {
  if (state_ == State::kStartup && !full_bw_reached_) {
    leave_startup_for_congestion();
    return;
  }
  if (is_bw_probe_sample_) handle_inflight_too_high(c, rs());
  const std::uint32_t marked = rs().has_data ? rs().tx_in_flight : c.inflight;
  const double inflight = std::min<double>(inflight_shortterm_, marked);
  inflight_shortterm_ = std::max(inflight * kBetaOfMarks, c.min_pipe_cwnd());
}

// §5.5.10.3.
void Bbr::update_latest_delivery_signals() {
  loss_round_start_ = false;
  bw_latest_ = std::max(bw_latest_, rs().delivery_rate);
  inflight_latest_ = std::max(inflight_latest_, static_cast<double>(rs().delivered));
  if (rs().prior_delivered < loss_round_delivered_) return;
  loss_round_delivered_ = rate.delivered();
  loss_round_start_ = true;
}

void Bbr::advance_latest_delivery_signals() {
  if (!loss_round_start_) return;
  bw_latest_ = rs().delivery_rate;
  inflight_latest_ = static_cast<double>(rs().delivered);
}

void Bbr::reset_congestion_signals() {
  is_loss_in_round_ = false;
  bw_latest_ = 0;
  inflight_latest_ = 0;
}

void Bbr::update_congestion_signals(C c) {
  update_max_bw();
  if (!loss_round_start_) return;
  adapt_lower_bounds_from_congestion(c);
  is_loss_in_round_ = false;
}

void Bbr::adapt_lower_bounds_from_congestion(C c) {
  if (is_probing_bw() || !is_loss_in_round_) return;
  if (bw_shortterm_ == kInfinity) bw_shortterm_ = max_bw_;
  if (inflight_shortterm_ == kInfinity) inflight_shortterm_ = c.cwnd;
  bw_shortterm_ = std::max(bw_latest_, kBeta * bw_shortterm_);
  inflight_shortterm_ = std::max(inflight_latest_, kBeta * inflight_shortterm_);
}

void Bbr::reset_short_term_model() { bw_shortterm_ = inflight_shortterm_ = kInfinity; }

void Bbr::bound_bw_for_model() { bw_ = std::min(max_bw_, bw_shortterm_); }

// §5.5.11.1.
void Bbr::save_state_upon_loss(C c) {
  save_cwnd(c);
  undo_state_ = Undo::kNone;
  undo_bw_shortterm_ = bw_shortterm_;
  undo_inflight_shortterm_ = inflight_shortterm_;
  undo_inflight_longterm_ = inflight_longterm_;
}

// §5.5.11.2.
void Bbr::handle_spurious_loss_detection(C c) {
  restore_cwnd(c);
  is_loss_in_round_ = false;
  reset_full_bw();
  bw_shortterm_ = std::max(bw_shortterm_, undo_bw_shortterm_);
  inflight_shortterm_ = std::max(inflight_shortterm_, undo_inflight_shortterm_);
  inflight_longterm_ = std::max(inflight_longterm_, undo_inflight_longterm_);
  if (undo_state_ == Undo::kStartup && state_ != State::kStartup) {
    full_bw_reached_ = false;
    if (state_ != State::kProbeRtt) enter_startup();
  } else if (undo_state_ == Undo::kProbeBwUp && state_ != State::kProbeBwUp) {
    if (state_ != State::kProbeRtt) start_probe_bw_refill();
  }
  undo_state_ = Undo::kNone;
}

// §5.6.2.
void Bbr::init_pacing_rate(C c) {
  const Duration rtt = c.srtt > Duration{} ? c.srtt : std::chrono::milliseconds(1);
  pacing_rate_ = kStartupPacingGain * c.initial_cwnd / Seconds(rtt).count();
}

void Bbr::set_pacing_rate_with_gain(double gain) {
  if (bw_ == 0) return;  // nothing is known: as at the beginning
  const double rate_wanted = gain * bw_ * kPacingMargin;
  if (full_bw_reached_ || rate_wanted > pacing_rate_) pacing_rate_ = rate_wanted;
}

// §5.6.3.
void Bbr::set_send_quantum(C c) {
  send_quantum_ = std::max(std::min(pacing_rate_ * 1e-3, 65536.0), 2.0 * c.smss);
}

// §5.6.4.2.
double Bbr::bdp_multiple(C c, double bw, double gain) const {
  if (min_rtt_ == Duration::max()) return c.initial_cwnd;
  return gain * bw * Seconds(min_rtt_).count();
}

double Bbr::quantization_budget(C c, double inflight_cap) const {
  const double offload_budget = 3 * send_quantum_;  // §5.5.8.1
  inflight_cap = std::max({inflight_cap, offload_budget, c.min_pipe_cwnd()});
  if (state_ == State::kProbeBwUp) inflight_cap += 2.0 * c.smss;
  return inflight_cap;
}

double Bbr::inflight(C c, double bw, double gain) const {
  return quantization_budget(c, bdp_multiple(c, bw, gain));
}

// §5.6.4.4.
void Bbr::on_enter_loss_recovery(C c) {
  // DEVIATES: what note_loss() has saved with the first loss of this round, before it reacted, is
  // what is to be undone.
  if (is_loss_in_round_) {
    save_cwnd(c);
  } else {
    save_state_upon_loss(c);
  }
}

void Bbr::save_cwnd(C c) {
  const bool modulated = c.in_loss_recovery || state_ == State::kProbeRtt;
  prior_cwnd_ = modulated ? std::max(prior_cwnd_, c.cwnd) : c.cwnd;
}

void Bbr::restore_cwnd(C c) const { c.cwnd = std::max(c.cwnd, prior_cwnd_); }

// §5.6.4.5.
double Bbr::probe_rtt_cwnd(C c) const {
  return std::max(bdp_multiple(c, bw_, kProbeRttCwndGain), c.min_pipe_cwnd());
}

// §5.6.4.6.
void Bbr::set_cwnd(C c) {
  const double max_inflight =
      quantization_budget(c, bdp_multiple(c, bw_, cwnd_gain_) + extra_acked_);
  const double grown = static_cast<double>(c.cwnd) + rs().newly_acked;
  double cwnd = c.cwnd;
  if (full_bw_reached_) {
    cwnd = std::min(grown, max_inflight);
  } else if (cwnd < max_inflight || rate.delivered() < c.initial_cwnd) {
    cwnd = grown;
  }
  cwnd = std::max(cwnd, c.min_pipe_cwnd());
  if (state_ == State::kProbeRtt) cwnd = std::min(cwnd, probe_rtt_cwnd(c));
  c.cwnd = static_cast<std::uint32_t>(std::min<double>(cwnd, UINT32_MAX / 2));
  bound_cwnd_for_model(c);
}

// §5.6.4.7.
void Bbr::bound_cwnd_for_model(C c) const {
  double cap = kInfinity;
  if (state_ == State::kProbeRtt || state_ == State::kProbeBwCruise) {
    cap = inflight_with_headroom(c);
  } else if (is_in_a_probe_bw_state()) {
    cap = inflight_longterm_;
  }
  cap = std::max(std::min(cap, inflight_shortterm_), c.min_pipe_cwnd());
  if (c.cwnd > cap) c.cwnd = static_cast<std::uint32_t>(cap);
}

}  // namespace tideline::tcp
