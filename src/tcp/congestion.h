// SPDX-License-Identifier: Apache-2.0
// Congestion control: how much may be in flight. Recovery decides when something was lost, an
// algorithm what follows for the window. Algorithms have no state of their own: a connection's is
// in its CongestionState. All quantities are bytes. Thread: the worker's.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "base/time.h"
#include "tcp/config.h"
#include "tcp/seq.h"
#include "tcp/stream.h"

namespace tideline::tcp {

// RFC 9438 §4. Windows are counted in segments, as there.
struct CubicState {
  double w_max = 0;
  double k = 0;            // seconds until w_max is reached again
  double w_est = 0;        // what Reno would have
  double cwnd_prior = 0;   // before the last reduction
  double fraction = 0;     // bytes of growth not yet in cwnd
  Instant epoch = kNever;  // begin of this avoidance stage; kNever: none yet
  // HyStart: the round's end, its smallest round-trip times, and how many were seen.
  Seq round_end;
  Duration round_min{};
  std::uint8_t round_samples = 0;
};

struct RenoState {
  std::uint32_t acked = 0;  // towards the next segment of growth: RFC 5681 §3.1
};

// RFC 8257 §3.3.
struct DctcpState {
  double alpha = 1;                // the share of bytes that are marked, averaged over windows
  std::uint32_t bytes_acked = 0;   // in this observation window
  std::uint32_t bytes_marked = 0;  //
  Seq window_end;
  bool window_known = false;
  RenoState growth;
};

struct CongestionState {
  static constexpr std::uint32_t kInfinite = UINT32_MAX / 2;

  std::uint32_t cwnd = 0;
  std::uint32_t ssthresh = kInfinite;
  std::variant<CubicState, RenoState, DctcpState> algorithm;  // BBR's is Bbr

  bool in_slow_start() const { return cwnd < ssthresh; }
};

// An acknowledgment outside of recovery.
struct AckEvent {
  Instant now{};
  std::uint32_t acked = 0;  // bytes newly delivered: RFC 3465
  std::uint32_t mss = 0;
  Duration rtt{};  // of this acknowledgment; 0 if it tells none
  Duration srtt{};
  Duration min_rtt{};
  Seq una;
  Seq nxt;
};

// Any acknowledgment of a connection with ECN.
struct EchoEvent {
  std::uint32_t acked = 0;   // bytes that una has advanced
  std::uint32_t marked = 0;  // bytes of these that were: all, if it has ECE
  Seq una;
  Seq nxt;
};

class CongestionControl {
 public:
  virtual std::string_view name() const = 0;
  virtual void start(CongestionState& state) const = 0;
  // The window was used up, and has been acknowledged in part: it may grow.
  virtual void acked(CongestionState& state, const AckEvent& event) const = 0;
  // Whatever it acknowledges: what the peer has seen of marks.
  virtual void echoed(CongestionState& /*state*/, const EchoEvent& /*event*/) const {}
  // Something was marked: the new ssthresh. `flight` is what was outstanding.
  virtual std::uint32_t marked(CongestionState& state, std::uint32_t flight,
                               std::uint32_t mss) const {
    return reduce(state, flight, mss);  // RFC 3168 §6.1.2
  }
  // Something was lost: the new ssthresh.
  virtual std::uint32_t reduce(CongestionState& state, std::uint32_t flight,
                               std::uint32_t mss) const = 0;
  // Something is sent again after an idle time, which has proven nothing: RFC 9438 §4.2.
  virtual void resume(CongestionState& /*state*/, Duration /*idle*/) const {}
  // The retransmission timer has expired, or a long idle time has passed.
  virtual void restart(CongestionState& state) const = 0;

 protected:
  ~CongestionControl() = default;
};

const CongestionControl& congestion_control(CongestionAlgorithm algorithm);

// RFC 6928 §2.
constexpr std::uint32_t initial_cwnd(std::uint32_t mss) {
  return 10 * mss < 14600 ? 10 * mss : (2 * mss > 14600 ? 2 * mss : 14600);
}

inline std::uint32_t initial_cwnd(const Config& config, std::uint32_t mss) {
  return config.initial_segments == 0 ? initial_cwnd(mss) : config.initial_segments * mss;
}

// What slow start, and Reno after it, have in common: RFC 5681 §3.1, RFC 3465. Returns what of
// `acked` is left for congestion avoidance.
std::uint32_t slow_start(CongestionState& state, std::uint32_t acked);
void grow_as_reno(CongestionState& state, RenoState& reno, const AckEvent& event);

}  // namespace tideline::tcp
