// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/tcp_info.h"

#include <algorithm>
#include <chrono>
#include <limits>

namespace tideline::shim::sockets {
namespace {

using client::Info;

template <typename Unit>
std::uint32_t count(Duration duration) {
  const auto units = std::chrono::duration_cast<Unit>(duration).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(units, 0, UINT32_MAX));
}

std::uint32_t microseconds(Duration duration) { return count<std::chrono::microseconds>(duration); }

std::uint32_t milliseconds(Duration duration) { return count<std::chrono::milliseconds>(duration); }

std::uint64_t long_microseconds(Duration duration) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
}

// Totals in narrow fields stop at the most that these hold.
std::uint16_t narrow(std::uint32_t number) {
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(number, UINT16_MAX));
}

// Whole segments of a window.
std::uint32_t segments(const Info& info, std::uint32_t bytes) {
  return info.mss == 0 ? 0 : bytes / info.mss;
}

void tell_state(const Info& info, TcpInfo& out) {
  constexpr std::uint8_t kLinuxStates[] = {7, 10, 2, 3, 1, 4, 5, 8, 11, 9, 6};
  constexpr std::uint8_t kFastOpenChild = 128;  // TCPI_OPT_TFO_CHILD
  out.tcpi_state = kLinuxStates[static_cast<std::size_t>(info.state)];
  out.tcpi_ca_state = info.recovery;
  if (info.timestamps) out.tcpi_options |= TCPI_OPT_TIMESTAMPS;
  if (info.sack) out.tcpi_options |= TCPI_OPT_SACK;
  if (info.window_scaling) out.tcpi_options |= TCPI_OPT_WSCALE;
  if (info.ecn) out.tcpi_options |= TCPI_OPT_ECN;
  if (info.ecn && info.ect_seen) out.tcpi_options |= TCPI_OPT_ECN_SEEN;
  if (info.syn_data) out.tcpi_options |= TCPI_OPT_SYN_DATA;
  if (info.fast_child) out.tcpi_options |= kFastOpenChild;
  out.tcpi_snd_wscale = info.send_window_scale & 15;
  out.tcpi_rcv_wscale = info.receive_window_scale & 15;
  out.tcpi_delivery_rate_app_limited = info.app_limited ? 1 : 0;
  out.tcpi_fastopen_client_fail = static_cast<std::uint8_t>(info.fast_open_failure) & 3;
}

void tell_times(const Info& info, TcpInfo& out) {
  out.tcpi_rto = microseconds(info.rto);
  out.tcpi_ato = microseconds(info.ack_delay);
  out.tcpi_last_data_sent = milliseconds(info.since_data_sent);
  out.tcpi_last_data_recv = milliseconds(info.since_data_received);
  out.tcpi_last_ack_recv = milliseconds(info.since_received);
  out.tcpi_rtt = microseconds(info.srtt);
  out.tcpi_rttvar = microseconds(info.rttvar);
  out.tcpi_min_rtt = microseconds(info.min_rtt);
  out.tcpi_rcv_rtt = microseconds(info.receive_rtt);
  out.tcpi_busy_time = long_microseconds(info.busy);
  out.tcpi_rwnd_limited = long_microseconds(info.window_limited);
  out.tcpi_sndbuf_limited = long_microseconds(info.buffer_limited);
  out.total_rto = narrow(info.timeouts);
  out.total_rto_recoveries = narrow(info.timeout_rows);
  out.total_rto_time = milliseconds(info.timed_out);
}

void tell_sending(const Info& info, TcpInfo& out) {
  constexpr std::uint32_t kInfinite = 0x7fffffff;
  out.tcpi_snd_mss = info.mss;
  out.tcpi_pmtu = info.path_mtu;
  out.tcpi_snd_cwnd = segments(info, info.cwnd);
  out.tcpi_snd_ssthresh = info.ssthresh >= kInfinite ? kInfinite : segments(info, info.ssthresh);
  out.tcpi_snd_wnd = info.send_window;
  out.tcpi_unacked = info.unacknowledged;
  out.tcpi_sacked = info.sacked;
  out.tcpi_lost = info.lost;
  out.tcpi_retrans = info.retransmitted;
  out.tcpi_notsent_bytes = info.unsent;
  out.tcpi_retransmits = info.retries;
  out.tcpi_probes = info.probes;
  out.tcpi_backoff = info.backoff;
  out.tcpi_reordering = info.reordering;
  out.tcpi_reord_seen = info.reorderings;
  out.tcpi_total_retrans = info.segments_retransmitted;
  out.tcpi_bytes_sent = info.bytes_sent;
  out.tcpi_bytes_retrans = info.bytes_retransmitted;
  out.tcpi_bytes_acked = info.bytes_acked;
  out.tcpi_segs_out = static_cast<std::uint32_t>(info.segments_out);
  out.tcpi_data_segs_out = info.data_segments_out;
  out.tcpi_delivered = info.delivered;
  out.tcpi_dsack_dups = info.duplicates;
  out.tcpi_delivery_rate = info.delivery_rate;
}

void tell_receiving(const Info& info, TcpInfo& out) {
  constexpr std::uint32_t kInitialSegments = 10;  // as Linux assumes it before it has measured
  out.tcpi_rcv_mss = info.receive_mss;
  out.tcpi_advmss = info.advertised_mss;
  out.tcpi_rcv_ssthresh = info.largest_window;
  out.tcpi_rcv_space =
      std::max(info.taken, std::min(info.largest_window, kInitialSegments * info.advertised_mss));
  out.rcv_wnd = info.receive_window;
  out.tcpi_bytes_received = info.bytes_received;
  out.tcpi_segs_in = static_cast<std::uint32_t>(info.segments_in);
  out.tcpi_data_segs_in = info.data_segments_in;
  out.tcpi_rcv_ooopack = info.out_of_order;
}

void tell_marks(const Info& info, TcpInfo& out) {
  constexpr std::uint32_t kClassic = 1;  // TCPI_ECN_MODE_RFC3168
  constexpr std::uint32_t kAccurate = 2;
  const client::MarkInfo& marks = info.marks;
  out.ecn_mode = info.accurate_ecn ? kAccurate : (info.ecn ? kClassic : 0);
  out.tcpi_delivered_ce = marks.packets;
  out.delivered_ce_bytes = marks.bytes;
  out.received_ce = marks.received_packets;
  out.received_ce_bytes = marks.received_bytes;
  out.received_e0_bytes = marks.received_ect0_bytes;
  out.received_e1_bytes = marks.received_ect1_bytes;
}

}  // namespace

TcpInfo to_tcp_info(const Info& info, const client::Options& options) {
  TcpInfo out{};
  tell_state(info, out);
  tell_times(info, out);
  tell_sending(info, out);
  tell_receiving(info, out);
  tell_marks(info, out);
  out.tcpi_pacing_rate = info.pacing_rate > 0 ? info.pacing_rate : UINT64_MAX;
  out.tcpi_max_pacing_rate = options.max_pacing_rate;
  return out;
}

std::size_t to_algorithm_info(const Info& info, tcp_cc_info& out) {
  const client::AlgorithmInfo& algorithm = info.algorithm;
  out = {};
  switch (info.congestion) {
    case client::Congestion::kCubic:
    case client::Congestion::kReno:
      return 0;
    case client::Congestion::kBbr:
      out.bbr = {.bbr_bw_lo = static_cast<std::uint32_t>(algorithm.rate),
                 .bbr_bw_hi = static_cast<std::uint32_t>(algorithm.rate >> 32),
                 .bbr_min_rtt = microseconds(algorithm.rtt),
                 .bbr_pacing_gain = algorithm.pacing_gain,
                 .bbr_cwnd_gain = algorithm.cwnd_gain};
      return sizeof(out.bbr);
    case client::Congestion::kDctcp:
      out.dctcp = {};
      if (info.ecn) {  // else it does as Reno
        out.dctcp = {.dctcp_enabled = 1,
                     .dctcp_ce_state = static_cast<std::uint16_t>(algorithm.echoes_mark),
                     .dctcp_alpha = algorithm.marked_share,
                     .dctcp_ab_ecn = algorithm.window_marked,
                     .dctcp_ab_tot = algorithm.window_acked};
      }
      return sizeof(out.dctcp);
  }
  return 0;
}

}  // namespace tideline::shim::sockets
