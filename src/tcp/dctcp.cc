// SPDX-License-Identifier: Apache-2.0
#include "tcp/dctcp.h"

#include <algorithm>

namespace tideline::tcp {
namespace {

constexpr double kGain = 1.0 / 16;  // §4.2: g

class Dctcp final : public CongestionControl {
 public:
  std::string_view name() const override { return "dctcp"; }
  void start(CongestionState& state) const override { state.algorithm = DctcpState{}; }

  // §3.4.
  void acked(CongestionState& state, const AckEvent& event) const override {
    grow_as_reno(state, state_of(state).growth, event);
  }

  // §3.3, steps 2 to 8.
  void echoed(CongestionState& state, const EchoEvent& event) const override {
    DctcpState& dctcp = state_of(state);
    if (!dctcp.window_known) {
      dctcp.window_known = true;
      dctcp.window_end = event.una - event.acked;
    }
    dctcp.bytes_acked += event.acked;
    dctcp.bytes_marked += event.marked;
    if (event.una <= dctcp.window_end || dctcp.bytes_acked == 0) return;
    const double m = std::min(1.0, static_cast<double>(dctcp.bytes_marked) / dctcp.bytes_acked);
    dctcp.alpha = dctcp.alpha * (1 - kGain) + kGain * m;
    dctcp.window_end = event.nxt;
    dctcp.bytes_acked = dctcp.bytes_marked = 0;
  }

  // §3.3, step 9.
  std::uint32_t marked(CongestionState& state, std::uint32_t /*flight*/,
                       std::uint32_t mss) const override {
    DctcpState& dctcp = state_of(state);
    dctcp.growth = {};
    return std::max(static_cast<std::uint32_t>(state.cwnd * (1 - dctcp.alpha / 2)), 2 * mss);
  }

  // §3.5: as a conventional TCP.
  std::uint32_t reduce(CongestionState& state, std::uint32_t flight,
                       std::uint32_t mss) const override {
    state_of(state).growth = {};
    return std::max(std::min(flight, state.cwnd) / 2, 2 * mss);
  }

  void restart(CongestionState& state) const override { state_of(state).growth = {}; }

 private:
  static DctcpState& state_of(CongestionState& state) {
    return *std::get_if<DctcpState>(&state.algorithm);
  }
};

constexpr Dctcp kDctcp;

}  // namespace

const CongestionControl& dctcp() { return kDctcp; }

}  // namespace tideline::tcp
