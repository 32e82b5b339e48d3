// SPDX-License-Identifier: Apache-2.0
#include "control/status_json.h"

#include <errno.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "control/json.h"

namespace tideline::control {
namespace {

std::string text_of(const wire::Ipv6Address& address) {
  return address.is_mapped() ? address.mapped_ipv4().to_text() : address.to_text();
}

void put_qp(JsonWriter& json, const rdma::QpStatus& qp) {
  const rdma::QpCounters& counters = qp.counters;
  json.begin_object().member("number", qp.number);
  json.member("type", name_of(qp.type)).member("state", name_of(qp.state));
  if (qp.type != rdma::QpType::kUd && qp.peer != rdma::Gid()) {
    json.member("peer", text_of(qp.peer)).member("peer_number", qp.peer_number);
  }
  json.member("path_mtu", qp.mtu);
  json.member("sq_psn", qp.sq_psn).member("una_psn", qp.una_psn).member("unacked", qp.unacked);
  json.member("rq_psn", qp.rq_psn);
  json.member("posted_sends", qp.posted_sends).member("posted_receives", qp.posted_receives);
  json.member("retries_left", qp.retries_left).member("rnr_retries_left", qp.rnr_retries_left);
  json.member("requests", counters.requests).member("request_bytes", counters.request_bytes);
  json.member("messages", counters.messages).member("message_bytes", counters.message_bytes);
  json.member("retransmits", counters.retransmits).member("timeouts", counters.timeouts);
  json.member("rnr_received", counters.rnr_received).member("rnr_sent", counters.rnr_sent);
  json.end_object();
}

void put_rdma(JsonWriter& json, const RdmaStatus& rdma) {
  const rdma::DeviceStatus& objects = rdma.objects;
  json.key("rdma").begin_object();
  json.member("pds", objects.pds).member("regions", objects.regions).member("cqs", objects.cqs);
  json.member("srqs", objects.srqs).member("ahs", objects.ahs).member("qp_count", objects.qps);
  json.key("counters").begin_object();
  for (std::size_t i = 0; i < rdma::kCounterCount; ++i) {
    const auto counter = static_cast<rdma::Counter>(i);
    if (rdma.counters.of(counter) > 0) json.member(name_of(counter), rdma.counters.of(counter));
  }
  json.end_object().key("qps").begin_array();
  for (const rdma::QpStatus& qp : rdma.qps) put_qp(json, qp);
  json.end_array().end_object();
}

std::string text_of(const tcp::Endpoint& endpoint) {
  const bool ipv4 = endpoint.address.is_mapped();
  return fmt::format("{}{}{}:{}", ipv4 ? "" : "[", text_of(endpoint.address), ipv4 ? "" : "]",
                     endpoint.port);
}

// In the order of tcp::RecoveryState, as Linux names them.
constexpr std::array<const char*, 5> kRecoveryNames{"open", "disorder", "cwr", "recovery", "loss"};

// What `ss -ti` shows.
void put_connection(JsonWriter& json, const tcp::Info& info) {
  json.begin_object().member("state", name_of(info.state));
  json.member("local", text_of(info.tuple.local)).member("remote", text_of(info.tuple.remote));
  json.member("mss", info.mss).member("cwnd", info.cwnd).member("unacked", info.unacknowledged);
  json.member("send_window", info.send_window).member("receive_window", info.receive_window);
  json.member("srtt_ns", info.srtt.count()).member("rto_ns", info.rto.count());
  json.member("bytes_acked", info.bytes_acked).member("bytes_received", info.bytes_received);
  json.member("bytes_retransmitted", info.bytes_retransmitted);
  json.member("timeouts", info.timeouts).member("recoveries", info.recoveries);
  json.member("recovery", kRecoveryNames.at(static_cast<std::size_t>(info.recovery)));
  json.member("timestamps", info.timestamps).member("sack", info.sack).member("ecn", info.ecn);
  json.member("send_window_scale", info.send_window_scale);
  json.member("receive_window_scale", info.receive_window_scale);
  json.member("ssthresh", info.ssthresh).member("in_flight", info.in_flight);
  json.member("lost", info.lost).member("sacked", info.sacked);
  json.member("rttvar_ns", info.rttvar.count()).member("min_rtt_ns", info.min_rtt.count());
  json.member("bytes_sent", info.bytes_sent).member("undone", info.undone);
  json.member("bytes_bypassed", info.bytes_bypassed);
  json.member("path_mtu", info.path_mtu).member("mtu_search", info.searches_mtu);
  json.member("mtu_probes", info.mtu_probes).member("mtu_probes_lost", info.mtu_probes_lost);
  json.member("segments_in", info.segments_in).member("segments_out", info.segments_out);
  json.end_object();
}

void put_clients(JsonWriter& json, const ClientsStatus& clients) {
  json.key("clients").begin_object().member("count", clients.count).key("ended").begin_object();
  for (const auto& [reason, count] : clients.ended) json.member(reason, count);
  json.end_object().key("list").begin_array();
  for (const engine::ClientInfo& client : clients.listed) {
    json.begin_object().member("pid", client.pid).member("uid", client.uid);
    json.member("program", client.program).member("channel", client.channel);
    json.member("family", client.family).member("sockets", client.sockets);
    json.member("memory", client.memory).member("calls", client.calls);
    json.member("most_sockets", client.most_sockets).member("most_memory", client.most_memory);
    json.end_object();
  }
  json.end_array().end_object();
}

void put_status(JsonWriter& json, const EngineStatus& status) {
  json.member("time_ns", status.now.time_since_epoch().count());
  json.key("frames").begin_object();
  json.member("rx_frames", status.wire.rx_frames).member("rx_bytes", status.wire.rx_bytes);
  json.member("tx_frames", status.wire.tx_frames).member("tx_bytes", status.wire.tx_bytes);
  json.end_object().key("passes").begin_object().member("bytes", status.passes.total());
  json.member("kernel_bytes", status.passes.bytes(packet::Pass::kKernelCopy));
  json.end_object().key("drops").begin_object();
  for (const auto& [reason, count] : status.drops) json.member(reason, count);
  if (status.rdma) {
    for (const auto& [reason, count] : engine::list_drops(status.rdma->counters)) {
      json.member(reason, count);
    }
  }
  json.end_object();
  if (status.clients) put_clients(json, *status.clients);
  if (status.rdma) put_rdma(json, *status.rdma);
  json.key("tcp").begin_object().member("count", status.tcp_connections);
  json.member("most", status.most_connections).member("bypassed_bytes", status.bypassed);
  json.key("connections").begin_array();
  for (const tcp::Info& info : status.tcp) put_connection(json, info);
  json.end_array().end_object();
}

}  // namespace

std::string to_json(const Identity& identity, const std::optional<EngineStatus>& status) {
  JsonWriter json;
  json.begin_object().member("tideline", 1).member("pid", ::getpid());
  json.member("program", program_invocation_short_name);
  if (!identity.front_end.empty()) {
    json.member("front_end", identity.front_end).member("host", identity.host);
  }
  json.member("wire", identity.wire);
  json.key("addresses").begin_array();
  for (const std::string& address : identity.addresses) json.value(address);
  json.end_array().member("busy", !status);
  if (status) put_status(json, *status);
  json.end_object();
  return json.text() + "\n";
}

}  // namespace tideline::control
