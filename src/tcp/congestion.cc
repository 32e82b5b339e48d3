// SPDX-License-Identifier: Apache-2.0
#include "tcp/congestion.h"

#include <algorithm>

#include "tcp/bbr_flow.h"
#include "tcp/cubic.h"
#include "tcp/dctcp.h"

namespace tideline::tcp {
namespace {

// RFC 5681.
class Reno final : public CongestionControl {
 public:
  std::string_view name() const override { return "reno"; }
  void start(CongestionState& state) const override { state.algorithm = RenoState{}; }
  void acked(CongestionState& state, const AckEvent& event) const override {
    grow_as_reno(state, *std::get_if<RenoState>(&state.algorithm), event);
  }
  std::uint32_t reduce(CongestionState& state, std::uint32_t flight,
                       std::uint32_t mss) const override {
    std::get_if<RenoState>(&state.algorithm)->acked = 0;
    return std::max(std::min(flight, state.cwnd) / 2, 2 * mss);
  }
  void restart(CongestionState& state) const override {
    std::get_if<RenoState>(&state.algorithm)->acked = 0;
  }
};

constexpr Reno kReno;

}  // namespace

std::uint32_t slow_start(CongestionState& state, std::uint32_t acked) {
  const std::uint32_t growth = std::min(acked, state.ssthresh - state.cwnd);
  state.cwnd += growth;
  return acked - growth;
}

void grow_as_reno(CongestionState& state, RenoState& reno, const AckEvent& event) {
  std::uint32_t left = event.acked;
  if (state.in_slow_start()) left = slow_start(state, left);
  reno.acked += left;
  while (reno.acked >= state.cwnd) {
    reno.acked -= state.cwnd;
    state.cwnd += event.mss;
  }
}

const CongestionControl& congestion_control(CongestionAlgorithm algorithm) {
  switch (algorithm) {
    case CongestionAlgorithm::kCubic:
      return cubic();
    case CongestionAlgorithm::kReno:
      return kReno;
    case CongestionAlgorithm::kDctcp:
      return dctcp();
    case CongestionAlgorithm::kBbr:
      return model_based();
  }
  return kReno;
}

}  // namespace tideline::tcp
