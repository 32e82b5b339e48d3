// SPDX-License-Identifier: Apache-2.0
#include "engine/socket_values.h"

#include <algorithm>

namespace tideline::engine {

using client::Failure;

tcp::StreamOptions to_tcp(const client::Options& options) {
  return {.no_delay = options.no_delay,
          .cork = options.cork,
          .quick_ack = options.quick_ack,
          .max_pacing_rate = options.max_pacing_rate,
          .max_segment = options.max_segment,
          .congestion = static_cast<tcp::CongestionAlgorithm>(options.congestion),
          .keepalive = options.keepalive,
          .keepalive_idle = options.keepalive_idle,
          .keepalive_interval = options.keepalive_interval,
          .keepalive_probes = options.keepalive_probes,
          .fast_open = options.connect_fast,
          .defer_accept = options.defer_accept,
          .notsent_lowat = options.notsent_lowat,
          .traffic_class = options.marks.traffic_class,
          .hop_limit = options.marks.hop_limit == 0 ? kHopLimit : options.marks.hop_limit,
          .user_timeout = options.user_timeout,
          .tell_path_errors = options.reports_ipv4 || options.reports_ipv6};
}

std::uint32_t datagram_room(const ip::Stack& stack, const wire::Ipv6Address& to, Instant now) {
  constexpr std::uint32_t kUdpHeader = 8;
  const std::uint32_t ip_header = to.is_mapped() ? 20 : 40;
  return stack.path_mtu(to, now).mtu - ip_header - kUdpHeader;
}

Failure failure_of(tcp::End end) {
  switch (end) {
    case tcp::End::kNone:
    case tcp::End::kFinished:
    case tcp::End::kAborted:
      return Failure::kNone;
    case tcp::End::kReset:
      return Failure::kReset;
    case tcp::End::kRefused:
      return Failure::kRefused;
    case tcp::End::kTimedOut:
      return Failure::kTimedOut;
    case tcp::End::kHostUnreachable:
      return Failure::kHostUnreachable;
    case tcp::End::kNetworkUnreachable:
      return Failure::kNetworkUnreachable;
    case tcp::End::kProtocolUnreachable:
      return Failure::kProtocolUnreachable;
  }
  return Failure::kNone;
}

Failure failure_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kUsage:
      return Failure::kAddressInUse;
    case ErrorKind::kExhausted:
      return Failure::kNoMemory;
    case ErrorKind::kEnvironment:
    case ErrorKind::kPeer:
      return Failure::kNetworkUnreachable;
  }
  return Failure::kInvalid;
}

client::Info to_client(const tcp::Info& info, client::Congestion congestion, Instant now) {
  // LISTEN is not among the states of a connection.
  const auto state = static_cast<std::uint8_t>(info.state);
  constexpr double kGainUnit = 256;
  constexpr double kShareUnit = 1024;
  return {.state = static_cast<client::StreamState>(state == 0 ? 0 : state + 1),
          .timestamps = info.timestamps,
          .sack = info.sack,
          .window_scaling = info.window_scaling,
          .ecn = info.ecn,
          .accurate_ecn = info.accurate_ecn,
          .ect_seen = info.ect_seen,
          .syn_data = info.syn_data,
          .fast_child = info.fast_child,
          .app_limited = info.app_limited,
          .fast_open_failure = static_cast<client::FastOpenFailure>(info.fast_open_failure),
          .congestion = congestion,
          .recovery = static_cast<std::uint8_t>(info.recovery),
          .send_window_scale = info.send_window_scale,
          .receive_window_scale = info.receive_window_scale,
          .mss = info.mss,
          .path_mtu = info.path_mtu,
          .cwnd = info.cwnd,
          .ssthresh = info.ssthresh,
          .unsent = info.unsent,
          .unacknowledged = info.segments_unacknowledged,
          .sacked = info.segments_sacked,
          .lost = info.segments_lost,
          .retransmitted = info.segments_in_flight_again,
          .send_window = info.send_window,
          .receive_window = info.receive_window,
          .largest_window = info.largest_window,
          .taken = info.taken,
          .receive_mss = info.receive_mss,
          .rto = info.rto,
          .srtt = info.srtt,
          .rttvar = info.rttvar,
          .min_rtt = info.min_rtt,
          .receive_rtt = info.receive_rtt,
          .ack_delay = info.ack_delay,
          .advertised_mss = info.advertised_mss,
          .reordering = info.reordering,
          .reorderings = info.reorderings,
          .probes = info.probes,
          .backoff = info.backoff,
          .retries = info.retries,
          .since_received = now - info.last_received,
          .since_data_received = now - info.last_data_received,
          .since_data_sent = now - info.last_data_sent,
          .busy = info.busy,
          .window_limited = info.window_limited,
          .buffer_limited = info.buffer_limited,
          .timeouts = info.timeouts,
          .timeout_rows = info.timeout_rows,
          .timed_out = info.timed_out,
          .bytes_sent = info.bytes_sent,
          .bytes_retransmitted = info.bytes_retransmitted,
          .bytes_acked = info.bytes_acked,
          .bytes_received = info.bytes_received,
          .segments_in = info.segments_in,
          .segments_out = info.segments_out,
          .pacing_rate = info.pacing_rate,
          .delivery_rate = info.delivery_rate,
          .data_segments_in = info.data_segments_in,
          .data_segments_out = info.data_segments_out,
          .delivered = info.delivered,
          .segments_retransmitted = info.segments_retransmitted,
          .duplicates = info.duplicates,
          .out_of_order = info.out_of_order,
          .marks = {.packets = info.marked_packets,
                    .bytes = info.marked_bytes,
                    .received_packets = info.received_marked_packets,
                    .received_bytes = info.received_marked_bytes,
                    .received_ect0_bytes = info.received_ect0_bytes,
                    .received_ect1_bytes = info.received_ect1_bytes},
          .algorithm = {.rate = info.model_rate,
                        .rtt = info.model_rtt,
                        .pacing_gain = static_cast<std::uint32_t>(info.pacing_gain * kGainUnit),
                        .cwnd_gain = static_cast<std::uint32_t>(info.cwnd_gain * kGainUnit),
                        .marked_share = static_cast<std::uint32_t>(info.marked_share * kShareUnit),
                        .window_acked = info.window_acked,
                        .window_marked = info.window_marked,
                        .echoes_mark = info.echoes_mark}};
}

client::Info info_of_listener(std::uint32_t waiting, std::uint32_t backlog,
                              client::Congestion congestion) {
  constexpr std::uint32_t kReordering = 3;  // as connections begin
  return {.state = client::StreamState::kListen,
          .congestion = congestion,
          .unacknowledged = waiting,
          .sacked = backlog,
          .reordering = kReordering};
}

bool is_any(const wire::Ipv6Address& address) {
  return address.is_unspecified() ||
         (address.is_mapped() && address.mapped_ipv4().is_unspecified());
}

bool overlap(const wire::Ipv6Address& left, const wire::Ipv6Address& right) {
  if (left == right || left.is_unspecified() || right.is_unspecified()) return true;
  return left.is_mapped() == right.is_mapped() && (is_any(left) || is_any(right));
}

bool excludes(const Binding& other, const Binding& wanted) {
  using enum client::Sharing;
  const client::Endpoint& local = wanted.local;
  if (other.local.port != local.port) return false;
  const bool both_share = wanted.sharing != kNone && other.sharing != kNone;
  const bool group = wanted.sharing == kPort && other.sharing == kPort && wanted.user == other.user;
  if (other.local == local) return !group && (!both_share || other.listening);
  if (!overlap(other.local.address, local.address)) return false;
  if (wanted.user != other.user) {
    // Nobody takes what another user's socket is there for.
    return !both_share || wanted.sharing == kPort || other.sharing == kPort;
  }
  // One user's 0.0.0.0 and :: may share a port: that is how servers listen for both versions.
  return !both_share && other.local.address.is_mapped() == local.address.is_mapped();
}

bool owns(ip::Stack& stack, const wire::Ipv6Address& address) {
  const ip::Addresses& addresses = stack.addresses();
  return address.is_mapped() ? addresses.is_ours(address.mapped_ipv4())
                             : addresses.is_ours(address);
}

bool reaches(ip::Stack& stack, const wire::Ipv6Address& address) {
  if (ip::is_never_on_a_wire(address)) return false;
  if (!address.is_mapped()) {
    return !address.is_multicast() && stack.routes6().find(address) != nullptr;
  }
  const wire::Ipv4Address ipv4 = address.mapped_ipv4();
  const bool is_group = ipv4.is_multicast() || stack.addresses().is_broadcast(ipv4);
  return !is_group && stack.routes4().find(ipv4) != nullptr;
}

std::optional<wire::Ipv6Address> own_address(ip::Stack& stack, bool ipv4) {
  const ip::Addresses& addresses = stack.addresses();
  if (ipv4) {
    if (addresses.ipv4().empty()) return std::nullopt;
    return wire::Ipv6Address::mapped(addresses.ipv4().front().address);
  }
  const auto global = std::ranges::find_if(
      addresses.ipv6(), [](const auto& entry) { return !entry.prefix.address.is_link_local(); });
  if (global == addresses.ipv6().end()) return std::nullopt;
  return global->prefix.address;
}

}  // namespace tideline::engine
