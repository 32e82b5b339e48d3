// SPDX-License-Identifier: Apache-2.0
// `tideline ping HOST`: echo requests from a host of its own, replies compared byte by byte.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "commands.h"
#include "packet/copy.h"
#include "report.h"
#include "session.h"

namespace tideline::app {
namespace {

using wire::Ipv6Address;

// How long the last request may wait for its reply.
constexpr Duration kReplyTimeout = std::chrono::seconds(2);

double milliseconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

const char* describe(ip::PathErrorKind kind) {
  switch (kind) {
    case ip::PathErrorKind::kNetworkUnreachable:
      return "network unreachable";
    case ip::PathErrorKind::kHostUnreachable:
      return "host unreachable";
    case ip::PathErrorKind::kProtocolUnreachable:
      return "protocol unreachable";
    case ip::PathErrorKind::kPortUnreachable:
      return "port unreachable";
    case ip::PathErrorKind::kPacketTooBig:
      return "packet too big";
    case ip::PathErrorKind::kTimeExceeded:
      return "time exceeded";
    case ip::PathErrorKind::kParameterProblem:
      return "parameter problem";
    case ip::PathErrorKind::kUnknown:
      return "an error of unknown type";
  }
  return "unknown error";
}

class Ping final : public engine::Task, private ip::EchoHandler {
 public:
  Ping(Session& session, const PingOptions& options, bool quiet, Instant now)
      : session_(session),
        stack_(session.worker().host()->stack()),
        options_(options),
        quiet_(quiet),
        destination_(parse_host(options.host)),
        interval_(
            std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options.interval))),
        identifier_(static_cast<std::uint16_t>(session.seed() | 1)),
        due_(now),
        payload_(options.size) {
    for (std::size_t i = 0; i < payload_.size(); ++i) payload_[i] = static_cast<std::byte>(i * 7);
    stack_.open_echo(identifier_, *this);
  }
  ~Ping() { stack_.close_echo(identifier_); }

  Instant next_deadline() const override { return due_; }
  void run_timers(Instant now) override;
  bool is_done() const override { return done_; }

  std::uint64_t sent() const { return sent_; }
  std::uint64_t received() const { return times_.size(); }
  std::uint64_t duplicates() const { return duplicates_; }
  std::uint64_t differing() const { return differing_; }
  std::uint64_t errors() const { return errors_; }
  bool ok() const { return sent_ > 0 && received() == sent_ && differing_ == 0; }
  std::vector<Duration> sorted_times() const;

 private:
  void send(Instant now);
  bool is_intact(const packet::Packet& data) const;
  bool all_sent() const { return options_.count > 0 && sent_ >= options_.count; }
  void echo_replied(ip::EchoReply reply, Instant now) override;
  void echo_failed(const ip::PathError& error, Instant now) override;

  Session& session_;
  ip::Stack& stack_;
  const PingOptions& options_;
  bool quiet_;
  Ipv6Address destination_;
  Duration interval_;
  std::uint16_t identifier_;
  Instant due_;
  std::vector<std::byte> payload_;
  std::map<std::uint16_t, Instant> waiting_;  // by sequence number: when it was sent
  std::vector<Duration> times_;
  std::uint64_t sent_ = 0;
  std::uint64_t duplicates_ = 0;
  std::uint64_t differing_ = 0;
  std::uint64_t errors_ = 0;
  bool done_ = false;
};

void Ping::run_timers(Instant now) {
  const engine::Host& host = *session_.worker().host();
  if (host.conflict() || all_sent()) {
    done_ = true;
    return;
  }
  // An IPv6 address is tested for duplicates first.
  if (!host.is_ready()) {
    due_ = now + std::chrono::milliseconds(5);
    return;
  }
  send(now);
  due_ = now + (all_sent() ? kReplyTimeout : interval_);
}

void Ping::send(Instant now) {
  const auto sequence = static_cast<std::uint16_t>(++sent_);
  packet::PacketPtr data =
      payload_.empty() ? session_.pool().get() : session_.pool().get_chain(payload_.size());
  packet::PassCounter passes;
  if (data == nullptr) return;  // counted by the pool, and lost
  packet::copy_in(*data, 0, payload_, passes);
  waiting_[sequence] = now;
  const ip::Sent sent = stack_.ping(std::move(data), destination_, identifier_, sequence, now);
  if (!sent && !quiet_) fmt::print("seq={} not sent: {}\n", sent_, explain(sent.error()));
}

bool Ping::is_intact(const packet::Packet& data) const {
  if (data.size() != payload_.size()) return false;
  std::size_t at = 0;
  for (const packet::Segment* each = &data.first(); each != nullptr; each = each->next()) {
    if (!std::ranges::equal(each->bytes(), std::span(payload_).subspan(at, each->bytes().size()))) {
      return false;
    }
    at += each->bytes().size();
  }
  return true;
}

void Ping::echo_replied(ip::EchoReply reply, Instant now) {
  const auto request = waiting_.find(reply.sequence);
  if (request == waiting_.end()) {
    ++duplicates_;
    return;
  }
  const Duration time = now - request->second;
  const bool intact = is_intact(*reply.data);
  if (!intact) ++differing_;
  times_.push_back(time);
  waiting_.erase(request);
  if (!quiet_) {
    fmt::print("{} bytes from {}: seq={} ttl={} time={:.3f} ms{}\n", reply.data->size(),
               options_.host, reply.sequence, reply.hop_limit, milliseconds(time),
               intact ? "" : "  THE DATA DIFFERS");
    std::fflush(stdout);
  }
  if (all_sent() && waiting_.empty()) done_ = true;
}

void Ping::echo_failed(const ip::PathError& error, Instant /*now*/) {
  ++errors_;
  if (quiet_) return;
  fmt::print("from {}: {}\n", options_.host, describe(error.kind));
  std::fflush(stdout);
}

std::vector<Duration> Ping::sorted_times() const {
  std::vector<Duration> times = times_;
  std::ranges::sort(times);
  return times;
}

void print_summary(const Ping& ping, Session& session) {
  fmt::print("{} sent, {} received, {} lost, {} duplicates, {} differ\n", ping.sent(),
             ping.received(), ping.sent() - ping.received(), ping.duplicates(), ping.differing());
  const auto times = ping.sorted_times();
  if (!times.empty()) {
    fmt::print("round trip min/median/max {:.3f}/{:.3f}/{:.3f} ms\n", milliseconds(times.front()),
               milliseconds(times[times.size() / 2]), milliseconds(times.back()));
  }
  print_drops(session.worker());
}

void print_results(const Ping& ping, const PingOptions& options, Session& session) {
  auto json = begin_json("ping", ping.ok());
  json["host"] = options.host;
  json["size_bytes"] = options.size;
  json["seed"] = session.seed();
  json["sent"] = ping.sent();
  json["received"] = ping.received();
  json["lost"] = ping.sent() - ping.received();
  json["duplicates"] = ping.duplicates();
  json["differing"] = ping.differing();
  json["errors"] = ping.errors();
  const auto times = ping.sorted_times();
  if (!times.empty()) {
    json["min_ns"] = times.front().count();
    json["p50_ns"] = times[times.size() / 2].count();
    json["max_ns"] = times.back().count();
  }
  json["drops"] = drops_of(session.worker());
  print_json(json);
}

}  // namespace

int ping(const WireOptions& wire, const PingOptions& options) {
  (void)parse_host(options.host);  // before the wire is touched
  Session session(wire);
  session.add_host();
  Ping ping(session, options, wire.json, Instant{});
  if (!wire.json) {
    fmt::print("ping {} over {}: {} bytes of data", options.host, wire.wire, options.size);
    if (!wire.impair.empty()) fmt::print(", seed {}", session.seed());
    fmt::print("\n");
    std::fflush(stdout);
  }
  session.run(ping);
  if (wire.json) {
    print_results(ping, options, session);
  } else {
    print_summary(ping, session);
  }
  return ping.ok() ? kDone : kNegative;
}

}  // namespace tideline::app
