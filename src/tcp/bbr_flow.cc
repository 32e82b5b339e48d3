// SPDX-License-Identifier: Apache-2.0
#include "tcp/bbr_flow.h"

namespace tideline::tcp {
namespace {

class ModelBased final : public CongestionControl {
 public:
  std::string_view name() const override { return "bbr"; }
  void start(CongestionState& state) const override {
    state.ssthresh = CongestionState::kInfinite;
    state.algorithm = {};
  }
  void acked(CongestionState& /*state*/, const AckEvent& /*event*/) const override {}
  std::uint32_t reduce(CongestionState& state, std::uint32_t /*flight*/,
                       std::uint32_t /*mss*/) const override {
    return state.ssthresh;
  }
  void restart(CongestionState& /*state*/) const override {}
};

constexpr ModelBased kModelBased;

}  // namespace

const CongestionControl& model_based() { return kModelBased; }

void choose_congestion_control(Core& core, Tcb& tcb, Instant now) {
  release_congestion_control(core, tcb);
  tcb.control = &congestion_control(tcb.options.congestion);
  tcb.control->start(tcb.congestion);
  if (tcb.options.congestion != CongestionAlgorithm::kBbr) return;
  tcb.bbr = core.bbrs.take();  // as many as connections
  if (tcb.is_synchronized()) bbr_established(tcb, now);
}

void release_congestion_control(Core& core, Tcb& tcb) {
  if (tcb.bbr != nullptr) core.bbrs.give(tcb.bbr);
  tcb.bbr = nullptr;
}

BbrConnection bbr_connection(Tcb& tcb, Instant now) {
  return {.now = now,
          .rng = tcb.core->rng,
          .cwnd = tcb.congestion.cwnd,
          .inflight = tcb.in_flight(),
          .smss = tcb.mss,
          .initial_cwnd = initial_cwnd(tcb.core->config, tcb.mss),
          .srtt = tcb.srtt,
          .min_rtt = tcb.min_rtt,
          .has_selective_acks = tcb.sack_on,
          .in_loss_recovery = tcb.recovery >= RecoveryState::kRecovery,
          .in_fast_recovery = tcb.recovery == RecoveryState::kRecovery};
}

void bbr_established(Tcb& tcb, Instant now) {
  if (has_bbr(tcb)) tcb.bbr->on_init(bbr_connection(tcb, now));
}

void bbr_before_ack(Tcb& tcb) {
  if (!has_bbr(tcb)) return;
  bbr_check_application_limited(tcb);
  tcb.bbr->rate.init_rate_sample();
}

// §4.1.2.4. What frames below still borrow has not been transmitted.
void bbr_check_application_limited(Tcb& tcb) {
  if (!has_bbr(tcb)) return;
  const bool nothing_unsent = tcb.snd_offset(tcb.snd_nxt) >= tcb.write_end;
  const std::uint32_t flight = tcb.in_flight();
  if (nothing_unsent && tcb.lent_bytes == 0 && flight < tcb.congestion.cwnd &&
      tcb.scoreboard.lost() <= tcb.scoreboard.retransmitted()) {
    tcb.bbr->rate.mark_connection_app_limited(flight);
  }
}

void bbr_acked(Tcb& tcb, const AckSummary& summary) {
  if (!has_bbr(tcb) || summary.delivered == 0) return;
  RateSample& sample = tcb.bbr->rate.sample();
  sample.rtt = summary.rtt;
  sample.newly_acked = summary.delivered;
  tcb.bbr->update_on_ack(bbr_connection(tcb, summary.now));
}

void bbr_before_sending(Tcb& tcb, Instant now) {
  if (has_bbr(tcb)) tcb.bbr->on_transmit(bbr_connection(tcb, now));
}

void bbr_sent(Tcb& tcb, Range& range) {
  if (has_bbr(tcb)) tcb.bbr->rate.on_packet_sent(range, tcb.in_flight());
}

}  // namespace tideline::tcp
