// SPDX-License-Identifier: Apache-2.0
// `tideline echo`: a host that answers ICMP echo requests, and UDP and TCP on port 7 (RFC 862).
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <utility>

#include "base/clock.h"
#include "commands.h"
#include "report.h"
#include "session.h"
#include "tcp_echo.h"

namespace tideline::app {
namespace {

constexpr std::uint16_t kEchoPort = 7;

class Echo final : public engine::Task, private ip::UdpHandler {
 public:
  Echo(Session& session, const WireOptions& wire)
      : session_(session),
        wire_(wire),
        due_(monotonic_now()),
        tcp_(session.worker().host()->tcp()) {
    value_or_throw(stack().udp().bind({.port = kEchoPort}, *this));
    value_or_throw(tcp_.listen(kEchoPort));
  }
  ~Echo() { stack().udp().unbind({.port = kEchoPort}); }

  Instant next_deadline() const override { return due_; }
  // Tells when all addresses serve, then has nothing more to do.
  void run_timers(Instant now) override {
    if (session_.worker().host()->conflict()) {
      done_ = true;
    } else if (!session_.worker().host()->is_ready()) {
      due_ = now + std::chrono::milliseconds(5);
    } else {
      due_ = kNever;
      if (!wire_.json) announce();
    }
  }
  bool is_done() const override { return done_; }

  std::uint64_t datagrams() const { return datagrams_; }
  std::uint64_t connections() const { return tcp_.connections(); }

 private:
  ip::Stack& stack() { return session_.worker().host()->stack(); }

  void announce() {
    fmt::print("ready: answering on {}", wire_.wire);
    for (const auto& address : session_.options().ip4) fmt::print(" {}", address);
    for (const auto& address : session_.options().ip6) fmt::print(" {}", address);
    fmt::print(", MTU {}\n", session_.mtu());
    std::fflush(stdout);
  }

  void receive(packet::PacketPtr payload, const ip::UdpPath& path, Instant now) override {
    // Never to another echo service (RFC 1122 §3.2.2 in spirit): two would answer each other.
    if (path.source.port == kEchoPort) return;
    // To a group: from an address of ours, or not at all.
    const auto source = stack().source_for(path.source.address);
    if (!source) return;
    const ip::UdpPath back{.source = {.address = *source, .port = kEchoPort},
                           .destination = path.source};
    if (stack().udp().send(std::move(payload), back, now)) ++datagrams_;
  }
  void failed(const ip::PathError& /*error*/, Instant /*now*/) override {}

  Session& session_;
  const WireOptions& wire_;
  Instant due_;
  TcpEcho tcp_;
  std::uint64_t datagrams_ = 0;
  bool done_ = false;
};

}  // namespace

int echo(const WireOptions& wire) {
  Session session(wire);
  session.add_host();
  Echo echo(session, wire);
  session.run(echo);
  const port::QueueStats stats = session.worker().port().stats(0);
  if (wire.json) {
    auto json = begin_json("echo", true);
    json["seed"] = session.seed();
    json["ip"] = session.options().ip4;
    json["ip6"] = session.options().ip6;
    json["rx_frames"] = stats.rx_frames;
    json["rx_bytes"] = stats.rx_bytes;
    json["tx_frames"] = stats.tx_frames;
    json["tx_bytes"] = stats.tx_bytes;
    json["udp_datagrams"] = echo.datagrams();
    json["tcp_connections"] = echo.connections();
    json["drops"] = drops_of(session.worker());
    print_json(json);
  } else {
    fmt::print(
        "{} frames received, {} sent; {} UDP datagrams answered, {} TCP connections served\n",
        stats.rx_frames, stats.tx_frames, echo.datagrams(), echo.connections());
    print_drops(session.worker());
  }
  return kDone;
}

}  // namespace tideline::app
