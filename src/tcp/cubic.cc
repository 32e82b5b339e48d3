// SPDX-License-Identifier: Apache-2.0
#include "tcp/cubic.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace tideline::tcp {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr double kC = 0.4;                                // §5
constexpr double kBeta = 0.7;                             // §4.6
constexpr double kAlpha = 3 * (1 - kBeta) / (1 + kBeta);  // §4.3
constexpr std::uint32_t kHystartWindow = 16;              // segments; below it, rounds tell nothing
constexpr std::uint8_t kHystartSamples = 8;
constexpr Duration kHystartMin = std::chrono::milliseconds(4);
constexpr Duration kHystartMax = std::chrono::milliseconds(16);

// A round whose shortest round trip is clearly longer than the shortest ever fills a queue.
bool delay_has_grown(CubicState& cubic, const AckEvent& event) {
  if (event.una > cubic.round_end || cubic.round_min == Duration{}) {
    cubic.round_end = event.nxt;
    cubic.round_min = Duration::max();
    cubic.round_samples = 0;
  }
  if (event.rtt == Duration{}) return false;
  cubic.round_min = std::min(cubic.round_min, event.rtt);
  if (cubic.round_samples < kHystartSamples) {
    ++cubic.round_samples;
    return false;
  }
  return cubic.round_min > event.min_rtt + std::clamp(event.min_rtt / 8, kHystartMin, kHystartMax);
}

// §4.2: a stage begins with the first acknowledgment after a reduction, or after slow start.
void begin_epoch(CubicState& cubic, double cwnd, Instant now) {
  cubic.epoch = now;
  if (cubic.w_max <= cwnd) {
    cubic.w_max = cwnd;
    cubic.k = 0;
  } else {
    cubic.k = std::cbrt((cubic.w_max - cwnd) / kC);
  }
  cubic.w_est = cwnd;
}

class Cubic final : public CongestionControl {
 public:
  std::string_view name() const override { return "cubic"; }
  void start(CongestionState& state) const override { state.algorithm = CubicState{}; }

  void acked(CongestionState& state, const AckEvent& event) const override {
    CubicState& cubic = *std::get_if<CubicState>(&state.algorithm);
    std::uint32_t left = event.acked;
    if (state.in_slow_start()) {
      if (state.cwnd >= kHystartWindow * event.mss && delay_has_grown(cubic, event)) {
        state.ssthresh = state.cwnd;
      } else {
        left = slow_start(state, left);
      }
    }
    if (left > 0 && !state.in_slow_start()) avoid(state, cubic, event, left);
  }

  // §4.6, §4.7.
  std::uint32_t reduce(CongestionState& state, std::uint32_t /*flight*/,
                       std::uint32_t mss) const override {
    CubicState& cubic = *std::get_if<CubicState>(&state.algorithm);
    const double cwnd = static_cast<double>(state.cwnd) / mss;
    cubic.epoch = kNever;
    cubic.fraction = 0;
    cubic.cwnd_prior = cwnd;
    cubic.w_max = cwnd < cubic.w_max ? cwnd * (1 + kBeta) / 2 : cwnd;  // fast convergence
    return std::max(static_cast<std::uint32_t>(state.cwnd * kBeta), 2 * mss);
  }

  void resume(CongestionState& state, Duration idle) const override {
    CubicState& cubic = *std::get_if<CubicState>(&state.algorithm);
    if (cubic.epoch != kNever) cubic.epoch += idle;
  }

  void restart(CongestionState& state) const override {
    CubicState& cubic = *std::get_if<CubicState>(&state.algorithm);
    cubic.epoch = kNever;
    cubic.fraction = 0;
    cubic.round_min = {};
  }

 private:
  // §4.2 to §4.5.
  static void avoid(CongestionState& state, CubicState& cubic, const AckEvent& event,
                    std::uint32_t acked) {
    const double mss = event.mss;
    const double cwnd = state.cwnd / mss;
    const double segments = acked / mss;
    if (cubic.epoch == kNever) begin_epoch(cubic, cwnd, event.now);
    const double t = Seconds(event.now - cubic.epoch + event.srtt).count();
    const double offset = t - cubic.k;
    const double w_cubic = kC * offset * offset * offset + cubic.w_max;
    const double target = std::clamp(w_cubic, cwnd, 1.5 * cwnd);
    const double alpha = cubic.w_est >= cubic.cwnd_prior ? 1 : kAlpha;
    cubic.w_est += alpha * segments / cwnd;
    double growth = (target - cwnd) / cwnd * segments;
    if (cubic.w_est > cwnd + growth) growth = cubic.w_est - cwnd;
    cubic.fraction += growth * mss;
    const double whole = std::floor(cubic.fraction);
    cubic.fraction -= whole;
    const double limit = CongestionState::kInfinite;
    state.cwnd = static_cast<std::uint32_t>(std::min(state.cwnd + whole, limit));
  }
};

constexpr Cubic kCubicControl;

}  // namespace

const CongestionControl& cubic() { return kCubicControl; }

}  // namespace tideline::tcp
