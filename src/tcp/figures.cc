// SPDX-License-Identifier: Apache-2.0
#include "tcp/figures.h"

#include <algorithm>
#include <chrono>
#include <variant>

#include "tcp/bbr_flow.h"
#include "tcp/ecn.h"
#include "tcp/sender.h"

namespace tideline::tcp {
namespace {

std::uint16_t advertised_mss(const Tcb& tcb) {
  const std::uint32_t headers = (tcb.tuple.is_ipv4() ? 20 : 40) + sizeof(wire::TcpHeader);
  const std::uint32_t mss = tcb.path_mtu > headers ? tcb.path_mtu - headers : 0;
  const std::uint32_t most = tcb.options.max_segment;
  return static_cast<std::uint16_t>(most == 0 ? mss : std::min(mss, most));
}

std::uint32_t unsent(const Tcb& tcb) {
  const std::uint64_t sent = tcb.snd_offset(tcb.snd_nxt);  // with the FIN
  return tcb.write_end > sent ? static_cast<std::uint32_t>(tcb.write_end - sent) : 0;
}

// Segments of what is in flight, by what has become of them. What was never cut counts as sent.
void count_segments(const Tcb& tcb, Info& info) {
  for (const Range* range = tcb.scoreboard.first(); range != nullptr; range = range->next) {
    const std::uint32_t count = segments_of(range->size(), range->segment);
    info.segments_unacknowledged += count;
    if (range->sacked) info.segments_sacked += count;
    if (range->lost) info.segments_lost += count;
    if (range->retransmitted) info.segments_in_flight_again += count;
  }
  const bool syn = tcb.scoreboard.empty() && tcb.outstanding() > 0;
  if (syn) info.segments_unacknowledged = 1;
}

void tell_incidents(const Tcb& tcb, Instant now, Info& info) {
  if (tcb.incidents == nullptr) return;
  const Incidents& incidents = *tcb.incidents;
  const bool times_out = incidents.timeout_since != Instant{} && now > incidents.timeout_since;
  info.window_limited += incidents.window_limited;
  info.buffer_limited += incidents.buffer_limited;
  info.bytes_retransmitted = incidents.bytes_retransmitted;
  info.bytes_bypassed = incidents.bytes_bypassed;
  info.segments_retransmitted = incidents.segments_retransmitted;
  info.timeouts = incidents.timeouts;
  info.timeout_rows = incidents.timeout_rows;
  info.timed_out = incidents.timed_out + (times_out ? now - incidents.timeout_since : Duration{});
  info.recoveries = incidents.recoveries;
  info.undone = incidents.undone;
  info.reorderings = incidents.reorderings;
  info.duplicates = incidents.duplicates;
  info.out_of_order = incidents.out_of_order;
  info.marked_packets = incidents.marked;
}

void tell_accurate_ecn(const Tcb& tcb, Info& info) {
  if (!has_accurate_ecn(tcb)) return;
  const AccurateEcn& ecn = *tcb.accurate_ecn;
  constexpr AccurateEcn kBeginning;
  info.marked_packets = ecn.peer_ce_packets - kBeginning.peer_ce_packets;
  info.marked_bytes = ecn.peer_ce_bytes - kBeginning.peer_ce_bytes;
  info.received_marked_packets = ecn.ce_packets - kBeginning.ce_packets;
  info.received_marked_bytes = ecn.ce_bytes - kBeginning.ce_bytes;
  info.received_ect0_bytes = ecn.ect0_bytes - kBeginning.ect0_bytes;
  info.received_ect1_bytes = ecn.ect1_bytes - kBeginning.ect1_bytes;
}

void tell_algorithm(const Tcb& tcb, Info& info) {
  if (const Bbr* bbr = tcb.bbr) {
    info.model_rate = static_cast<std::uint64_t>(bbr->bw());
    info.model_rtt = bbr->min_rtt();
    info.phase = name_of(bbr->state());
    info.pacing_gain = bbr->pacing_gain();
    info.cwnd_gain = bbr->cwnd_gain();
  }
  if (const auto* dctcp = std::get_if<DctcpState>(&tcb.congestion.algorithm)) {
    info.marked_share = dctcp->alpha;
    info.window_acked = dctcp->bytes_acked;
    info.window_marked = dctcp->bytes_marked;
    info.echoes_mark = tcb.ece;
  }
}

// How long a delayed acknowledgment would be; there is none before there is data.
Duration ack_delay(const Core& core, const Tcb& tcb) {
  return tcb.rcv_offset > 0 || !tcb.reassembly.empty() ? core.config.delayed_ack : Duration{};
}

// As the receiver sees it: by timestamps, where they are fine enough.
Duration receive_rtt(const Tcb& tcb) {
  const Duration rounds = tcb.rcv_rtt == Duration::max() ? Duration{} : tcb.rcv_rtt;
  return std::max(rounds, tcb.rcv_rtt_told);
}

std::uint64_t delivery_rate(const Tcb& tcb) {
  if (tcb.rate_us == 0) return 0;
  return std::uint64_t{tcb.rate_delivered} * 1'000'000 / tcb.rate_us;
}

// Bytes, modulo what the type holds.
std::uint32_t delivered_bytes(const Tcb& tcb) {
  return static_cast<std::uint32_t>(tcb.una_offset) + tcb.scoreboard.sacked();
}

}  // namespace

void note_timeout(Tcb& tcb, Instant now) {
  Incidents& incidents = incidents_of(tcb);
  ++incidents.timeouts;
  if (tcb.retries > 0) return;
  ++incidents.timeout_rows;
  incidents.timeout_since = now;
}

void begin_delivery_round(Tcb& tcb, Seq end, Instant now) {
  tcb.rate_since = now;
  tcb.rate_end = end;
  tcb.rate_from = delivered_bytes(tcb);
}

void note_delivery(Tcb& tcb, Instant now) {
  if (tcb.snd_una < tcb.rate_end || tcb.rate_since == Instant{}) return;
  const std::uint32_t delivered = delivered_bytes(tcb) - tcb.rate_from;
  const auto elapsed =
      std::chrono::duration_cast<std::chrono::microseconds>(now - tcb.rate_since).count();
  const auto us = static_cast<std::uint32_t>(std::clamp<std::int64_t>(elapsed, 1, UINT32_MAX));
  // Nothing waits, and the window had room: the path may be faster. Such a round counts only if
  // none was.
  const bool app_limited = tcb.snd_offset(tcb.snd_nxt) >= tcb.write_end &&
                           tcb.max_flight + tcb.mss <= tcb.congestion.cwnd;
  const bool faster =
      std::uint64_t{delivered} * tcb.rate_us >= std::uint64_t{tcb.rate_delivered} * us;
  if (!app_limited || faster) {
    tcb.rate_delivered = delivered;
    tcb.rate_us = us;
    tcb.rate_app_limited = app_limited;
  }
  begin_delivery_round(tcb, tcb.snd_nxt, now);
}

Info info_of(const Core& core, const Tcb& tcb, Instant now) {
  const bool runs = tcb.activity != Activity::kIdle && now > tcb.activity_since;
  const Duration running = runs ? now - tcb.activity_since : Duration{};
  const auto running_if = [&](Activity activity) {
    return tcb.activity == activity ? running : Duration{};
  };
  const bool persists = tcb.retransmit_mode == RetransmitMode::kPersist;
  Info info{.state = tcb.state,
            .tuple = tcb.tuple,
            .recovery = tcb.recovery,
            .end = tcb.end,
            .timestamps = tcb.timestamps_on,
            .window_scaling = tcb.wscale_on,
            .sack = tcb.sack_on,
            .ecn = tcb.ecn_on || has_accurate_ecn(tcb),
            .accurate_ecn = has_accurate_ecn(tcb),
            .ect_seen = tcb.ect_seen,
            .syn_data = tcb.syn_data,
            .fast_child = tcb.fast_child,
            .app_limited = tcb.rate_app_limited,
            .fast_open_failure = tcb.fast_open_failure,
            .send_window_scale = tcb.snd_wscale,
            .receive_window_scale = tcb.rcv_wscale,
            .mss = tcb.mss,
            .path_mtu = tcb.mtu_search == nullptr ? tcb.path_mtu : tcb.mtu_search->low,
            .cwnd = tcb.congestion.cwnd,
            .ssthresh = tcb.congestion.ssthresh,
            .in_flight = tcb.in_flight(),
            .sacked = tcb.scoreboard.sacked(),
            .lost = tcb.scoreboard.lost(),
            .retransmitted = tcb.scoreboard.retransmitted(),
            .unacknowledged = tcb.outstanding(),
            .unsent = unsent(tcb),
            .send_window = tcb.snd_wnd,
            .receive_window = tcb.rcv_wnd(),
            .largest_window = std::max(tcb.rcv_space, tcb.rcv_wnd()),
            .taken = tcb.rcv_taken,
            .receive_mss = tcb.rcv_mss,
            .receive_rtt = receive_rtt(tcb),
            .ack_delay = ack_delay(core, tcb),
            .srtt = tcb.srtt,
            .rttvar = tcb.rttvar,
            .min_rtt = tcb.min_rtt,
            .rto = tcb.rto,
            .reordering_seen = tcb.reordering_seen,
            .reordering = tcb.reordering,
            .advertised_mss = advertised_mss(tcb),
            .probes = persists ? tcb.retries : std::uint8_t{0},
            .backoff = tcb.backoff,
            .retries = tcb.retries,
            .last_received = tcb.last_received,
            .last_data_received = tcb.last_data_received,
            .last_data_sent = tcb.last_data_sent,
            .busy = tcb.busy + running,
            .window_limited = running_if(Activity::kWindowLimited),
            .buffer_limited = running_if(Activity::kBufferLimited),
            .bytes_sent = tcb.bytes_sent,
            .bytes_acked = tcb.una_offset,
            .bytes_received = tcb.rcv_offset,
            .segments_in = tcb.segments_in,
            .segments_out = tcb.segments_out,
            .data_segments_in = tcb.data_segments_in,
            .data_segments_out = tcb.data_segments_out,
            .delivered = tcb.delivered,
            .pacing_rate = tcb.srtt > Duration{} ? pacing_rate(tcb) : 0,
            .delivery_rate = delivery_rate(tcb)};
  count_segments(tcb, info);
  tell_incidents(tcb, now, info);
  tell_accurate_ecn(tcb, info);
  tell_algorithm(tcb, info);
  if (const MtuSearch* search = tcb.mtu_search) {
    info.searches_mtu = search->low < search->high;
    info.mtu_probes = search->probes;
    info.mtu_probes_lost = search->lost;
  }
  return info;
}

}  // namespace tideline::tcp
