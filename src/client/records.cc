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
  const MarkInfo& marks = info.marks;
  const AlgorithmInfo& algorithm = info.algorithm;
  return {.state = static_cast<std::uint8_t>(info.state),
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
          .window_scaling = static_cast<std::uint8_t>(info.window_scaling),
          .accurate_ecn = static_cast<std::uint8_t>(info.accurate_ecn),
          .ect_seen = static_cast<std::uint8_t>(info.ect_seen),
          .fast_child = static_cast<std::uint8_t>(info.fast_child),
          .app_limited = static_cast<std::uint8_t>(info.app_limited),
          .fast_open_failure = static_cast<std::uint8_t>(info.fast_open_failure),
          .echoes_mark = static_cast<std::uint8_t>(algorithm.echoes_mark),
          .lengths = {info.mss, info.path_mtu, info.cwnd, info.ssthresh, info.unsent,
                      info.unacknowledged, info.sacked, info.lost, info.retransmitted,
                      info.send_window, info.receive_window, info.largest_window, info.taken,
                      std::uint32_t{info.advertised_mss} << 16 | info.receive_mss, info.reordering,
                      info.reorderings, info.timeouts, info.timeout_rows},
          .times_ns = {info.rto.count(), info.srtt.count(), info.rttvar.count(),
                       info.min_rtt.count(), info.receive_rtt.count(), info.ack_delay.count(),
                       info.since_received.count(), info.since_data_received.count(),
                       info.since_data_sent.count(), info.busy.count(), info.window_limited.count(),
                       info.buffer_limited.count(), info.timed_out.count(), algorithm.rtt.count()},
          .totals = {info.bytes_sent, info.bytes_retransmitted, info.bytes_acked,
                     info.bytes_received, info.segments_in, info.segments_out, info.pacing_rate,
                     info.delivery_rate, algorithm.rate},
          .counts = {info.data_segments_in, info.data_segments_out, info.delivered,
                     info.segments_retransmitted, info.duplicates, info.out_of_order, marks.packets,
                     marks.bytes, marks.received_packets, marks.received_bytes,
                     marks.received_ect0_bytes, marks.received_ect1_bytes, algorithm.pacing_gain,
                     algorithm.cwnd_gain, algorithm.marked_share, algorithm.window_acked,
                     algorithm.window_marked}};
}

Info from_record(const queue::InfoRecord& record) {
  const auto state = std::min(record.state, static_cast<std::uint8_t>(StreamState::kTimeWait));
  constexpr auto kLastFailure = static_cast<std::uint8_t>(FastOpenFailure::kRetransmitted);
  const auto& lengths = record.lengths;
  const auto& totals = record.totals;
  const auto& counts = record.counts;
  const auto time = [&](std::size_t index) { return duration_of(record.times_ns[index]); };
  return {.state = static_cast<StreamState>(state),
          .timestamps = record.timestamps != 0,
          .sack = record.sack != 0,
          .window_scaling = record.window_scaling != 0,
          .ecn = record.ecn != 0,
          .accurate_ecn = record.accurate_ecn != 0,
          .ect_seen = record.ect_seen != 0,
          .syn_data = record.syn_data != 0,
          .fast_child = record.fast_child != 0,
          .app_limited = record.app_limited != 0,
          .fast_open_failure =
              static_cast<FastOpenFailure>(std::min(record.fast_open_failure, kLastFailure)),
          .congestion = congestion_of(record.congestion),
          .recovery = record.recovery,
          .send_window_scale = record.send_window_scale,
          .receive_window_scale = record.receive_window_scale,
          .mss = lengths[0],
          .path_mtu = lengths[1],
          .cwnd = lengths[2],
          .ssthresh = lengths[3],
          .unsent = lengths[4],
          .unacknowledged = lengths[5],
          .sacked = lengths[6],
          .lost = lengths[7],
          .retransmitted = lengths[8],
          .send_window = lengths[9],
          .receive_window = lengths[10],
          .largest_window = lengths[11],
          .taken = lengths[12],
          .receive_mss = static_cast<std::uint16_t>(lengths[13]),
          .rto = time(0),
          .srtt = time(1),
          .rttvar = time(2),
          .min_rtt = time(3),
          .receive_rtt = time(4),
          .ack_delay = time(5),
          .advertised_mss = static_cast<std::uint16_t>(lengths[13] >> 16),
          .reordering = lengths[14],
          .reorderings = lengths[15],
          .probes = record.probes,
          .backoff = record.backoff,
          .retries = record.retries,
          .since_received = time(6),
          .since_data_received = time(7),
          .since_data_sent = time(8),
          .busy = time(9),
          .window_limited = time(10),
          .buffer_limited = time(11),
          .timeouts = lengths[16],
          .timeout_rows = lengths[17],
          .timed_out = time(12),
          .bytes_sent = totals[0],
          .bytes_retransmitted = totals[1],
          .bytes_acked = totals[2],
          .bytes_received = totals[3],
          .segments_in = totals[4],
          .segments_out = totals[5],
          .pacing_rate = totals[6],
          .delivery_rate = totals[7],
          .data_segments_in = counts[0],
          .data_segments_out = counts[1],
          .delivered = counts[2],
          .segments_retransmitted = counts[3],
          .duplicates = counts[4],
          .out_of_order = counts[5],
          .marks = {.packets = counts[6],
                    .bytes = counts[7],
                    .received_packets = counts[8],
                    .received_bytes = counts[9],
                    .received_ect0_bytes = counts[10],
                    .received_ect1_bytes = counts[11]},
          .algorithm = {.rate = totals[8],
                        .rtt = time(13),
                        .pacing_gain = counts[12],
                        .cwnd_gain = counts[13],
                        .marked_share = counts[14],
                        .window_acked = counts[15],
                        .window_marked = counts[16],
                        .echoes_mark = record.echoes_mark != 0}};
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
