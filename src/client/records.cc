// SPDX-License-Identifier: Apache-2.0
#include "client/records.h"

#include <algorithm>
#include <array>

namespace tideline::client {
namespace {

// Negative times come from nobody who means well.
Duration duration_of(std::int64_t nanoseconds) {
  return Duration(std::clamp<std::int64_t>(nanoseconds, 0, INT64_MAX / 4));
}

Congestion congestion_of(std::uint8_t number) {
  constexpr auto kLast = static_cast<std::uint8_t>(Congestion::kDctcp);
  return number <= kLast ? static_cast<Congestion>(number) : Congestion::kCubic;
}

}  // namespace

queue::EndpointRecord to_record(const Endpoint& endpoint) {
  return {.address = endpoint.address.bytes(), .port = endpoint.port};
}

Endpoint from_record(const queue::EndpointRecord& record) {
  return {.address = wire::Ipv6Address(record.address), .port = record.port};
}

queue::OptionsRecord to_record(const Options& options) {
  return {.send_buffer = options.send_buffer,
          .receive_buffer = options.receive_buffer,
          .keepalive_idle_ns = options.keepalive_idle.count(),
          .keepalive_interval_ns = options.keepalive_interval.count(),
          .user_timeout_ns = options.user_timeout.count(),
          .defer_accept_ns = options.defer_accept.count(),
          .max_pacing_rate = options.max_pacing_rate,
          .fast_open = options.fast_open,
          .max_segment = options.max_segment,
          .no_delay = static_cast<std::uint8_t>(options.no_delay),
          .cork = static_cast<std::uint8_t>(options.cork),
          .quick_ack = static_cast<std::uint8_t>(options.quick_ack),
          .congestion = static_cast<std::uint8_t>(options.congestion),
          .keepalive = static_cast<std::uint8_t>(options.keepalive),
          .keepalive_probes = options.keepalive_probes,
          .connect_fast = static_cast<std::uint8_t>(options.connect_fast),
          .urgent_inline = static_cast<std::uint8_t>(options.urgent_inline),
          .reports_ipv4 = static_cast<std::uint8_t>(options.reports_ipv4),
          .reports_ipv6 = static_cast<std::uint8_t>(options.reports_ipv6),
          .traffic_class = options.marks.traffic_class,
          .hop_limit = options.marks.hop_limit,
          .only_ipv6 = static_cast<std::uint8_t>(options.only_ipv6),
          .notsent_lowat = options.notsent_lowat,
          .receive_lowat = options.receive_lowat};
}

Options from_record(const queue::OptionsRecord& record) {
  return {.send_buffer = record.send_buffer,
          .receive_buffer = record.receive_buffer,
          .no_delay = record.no_delay != 0,
          .cork = record.cork != 0,
          .quick_ack = record.quick_ack != 0,
          .congestion = congestion_of(record.congestion),
          .max_pacing_rate = record.max_pacing_rate,
          .max_segment = record.max_segment,
          .keepalive = record.keepalive != 0,
          .keepalive_idle = duration_of(record.keepalive_idle_ns),
          .keepalive_interval = duration_of(record.keepalive_interval_ns),
          .keepalive_probes = record.keepalive_probes,
          .user_timeout = duration_of(record.user_timeout_ns),
          .defer_accept = duration_of(record.defer_accept_ns),
          .urgent_inline = record.urgent_inline != 0,
          .reports_ipv4 = record.reports_ipv4 != 0,
          .reports_ipv6 = record.reports_ipv6 != 0,
          .notsent_lowat = record.notsent_lowat,
          .receive_lowat = record.receive_lowat,
          .fast_open = record.fast_open,
          .marks = {.traffic_class = record.traffic_class, .hop_limit = record.hop_limit},
          .only_ipv6 = record.only_ipv6 != 0,
          .connect_fast = record.connect_fast != 0};
}

queue::KeyRecord to_record(const KeyChange& change) {
  return {.kind = static_cast<std::uint8_t>(change.kind),
          .is_current = static_cast<std::uint8_t>(change.is_current),
          .is_next = static_cast<std::uint8_t>(change.is_next),
          .aes = static_cast<std::uint8_t>(change.aes),
          .covers_options = static_cast<std::uint8_t>(change.covers_options),
          .send_id = change.send_id,
          .receive_id = change.receive_id,
          .peer_bits = change.peer_bits,
          .peer = change.peer.bytes(),
          .size = change.size,
          .key = change.key};
}

KeyChange from_record(const queue::KeyRecord& record) {
  constexpr auto kLast = static_cast<std::uint8_t>(KeyChange::Kind::kUse);
  constexpr std::uint8_t kBits = wire::Ipv6Address::kBits;
  constexpr std::uint8_t kMaxSize = KeyChange::kMaxSize;
  return {.kind = static_cast<KeyChange::Kind>(std::min(record.kind, kLast)),
          .is_current = record.is_current != 0,
          .is_next = record.is_next != 0,
          .aes = record.aes != 0,
          .covers_options = record.covers_options != 0,
          .send_id = record.send_id,
          .receive_id = record.receive_id,
          .peer = wire::Ipv6Address(record.peer),
          .peer_bits = std::min(record.peer_bits, kBits),
          .size = std::min(record.size, kMaxSize),
          .key = record.key};
}

queue::KeyStateRecord to_record(const KeyState& state) {
  return {.count = state.count,
          .has_choice = static_cast<std::uint8_t>(state.has_choice),
          .current = state.current,
          .next = state.next,
          .totals = {state.authentic, state.refused, state.unknown_key, state.missing,
                     state.path_errors},
          .key = to_record(state.key),
          .key_totals = {state.key_authentic, state.key_refused}};
}

KeyState from_record(const queue::KeyStateRecord& record) {
  return {.count = record.count,
          .has_choice = record.has_choice != 0,
          .current = record.current,
          .next = record.next,
          .authentic = record.totals[0],
          .refused = record.totals[1],
          .unknown_key = record.totals[2],
          .missing = record.totals[3],
          .path_errors = record.totals[4],
          .key = from_record(record.key),
          .key_authentic = record.key_totals[0],
          .key_refused = record.key_totals[1]};
}

queue::InfoRecord to_record(const Info& info) {
  return {
      .state = static_cast<std::uint8_t>(info.state),
      .timestamps = static_cast<std::uint8_t>(info.timestamps),
      .sack = static_cast<std::uint8_t>(info.sack),
      .ecn = static_cast<std::uint8_t>(info.ecn),
      .congestion = static_cast<std::uint8_t>(info.congestion),
      .recovery = info.recovery,
      .send_window_scale = info.send_window_scale,
      .receive_window_scale = info.receive_window_scale,
      .syn_data = static_cast<std::uint8_t>(info.syn_data),
      .probes = info.probes,
      .backoff = info.backoff,
      .retries = info.retries,
      .lengths = {info.mss, info.cwnd, info.ssthresh, info.unacknowledged, info.sacked, info.lost,
                  info.retransmitted, info.send_window, info.receive_window, info.advertised_mss,
                  info.reordering, info.reorderings, info.timeouts, info.unsent, info.path_mtu},
      .times_ns = {info.rto.count(), info.srtt.count(), info.rttvar.count(), info.min_rtt.count(),
                   info.since_received.count(), info.since_data_received.count(),
                   info.since_data_sent.count(), info.busy.count(), info.window_limited.count(),
                   info.buffer_limited.count()},
      .totals = {info.bytes_sent, info.bytes_retransmitted, info.bytes_acked, info.bytes_received,
                 info.segments_in, info.segments_out, info.pacing_rate, info.delivery_rate}};
}

Info from_record(const queue::InfoRecord& record) {
  const auto state = std::min(record.state, static_cast<std::uint8_t>(StreamState::kTimeWait));
  return {.state = static_cast<StreamState>(state),
          .timestamps = record.timestamps != 0,
          .sack = record.sack != 0,
          .ecn = record.ecn != 0,
          .syn_data = record.syn_data != 0,
          .congestion = congestion_of(record.congestion),
          .recovery = record.recovery,
          .send_window_scale = record.send_window_scale,
          .receive_window_scale = record.receive_window_scale,
          .mss = record.lengths[0],
          .path_mtu = record.lengths[14],
          .cwnd = record.lengths[1],
          .ssthresh = record.lengths[2],
          .unacknowledged = record.lengths[3],
          .unsent = record.lengths[13],
          .sacked = record.lengths[4],
          .lost = record.lengths[5],
          .retransmitted = record.lengths[6],
          .send_window = record.lengths[7],
          .receive_window = record.lengths[8],
          .rto = duration_of(record.times_ns[0]),
          .srtt = duration_of(record.times_ns[1]),
          .rttvar = duration_of(record.times_ns[2]),
          .min_rtt = duration_of(record.times_ns[3]),
          .advertised_mss = static_cast<std::uint16_t>(record.lengths[9]),
          .reordering = record.lengths[10],
          .reorderings = record.lengths[11],
          .probes = record.probes,
          .backoff = record.backoff,
          .retries = record.retries,
          .since_received = duration_of(record.times_ns[4]),
          .since_data_received = duration_of(record.times_ns[5]),
          .since_data_sent = duration_of(record.times_ns[6]),
          .busy = duration_of(record.times_ns[7]),
          .window_limited = duration_of(record.times_ns[8]),
          .buffer_limited = duration_of(record.times_ns[9]),
          .timeouts = record.lengths[12],
          .bytes_sent = record.totals[0],
          .bytes_retransmitted = record.totals[1],
          .bytes_acked = record.totals[2],
          .bytes_received = record.totals[3],
          .segments_in = record.totals[4],
          .segments_out = record.totals[5],
          .pacing_rate = record.totals[6],
          .delivery_rate = record.totals[7]};
}

queue::ReportRecord to_record(const Report& report) {
  return {.ipv6 = static_cast<std::uint8_t>(report.ipv6),
          .type = report.type,
          .code = report.code,
          .size = report.size,
          .mtu = report.mtu,
          .to = to_record(report.to),
          .from = to_record(Endpoint{.address = report.from}),
          .payload = report.payload};
}

Report from_record(const queue::ReportRecord& record) {
  return {.ipv6 = record.ipv6 != 0,
          .type = record.type,
          .code = record.code,
          .size = std::min<std::uint8_t>(record.size, sizeof(record.payload)),
          .mtu = record.mtu,
          .to = from_record(record.to),
          .from = from_record(record.from).address,
          .payload = record.payload};
}

Failure failure_from(std::uint32_t number) {
  constexpr auto kLast = static_cast<std::uint32_t>(Failure::kProtocol);
  return number <= kLast ? static_cast<Failure>(number) : Failure::kInvalid;
}

}  // namespace tideline::client
