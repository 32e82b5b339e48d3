// SPDX-License-Identifier: Apache-2.0
// `tideline perf`: how much TCP carries, over tideline or over the kernel's sockets.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "api_session.h"
#include "base/clock.h"
#include "commands.h"
#include "perf/client.h"
#include "perf/engine_net.h"
#include "perf/kernel_net.h"
#include "perf/server.h"
#include "report.h"
#include "session.h"

namespace tideline::app {
namespace {

using Json = nlohmann::ordered_json;
using flow::Figures;
using flow::Mode;
using flow::Plan;

constexpr double kDefaultDuration = 10;

Plan make_plan(const WireOptions& wire, const PerfOptions& options) {
  Plan plan{.streams = options.streams, .poll = options.poll};
  plan.duration = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(wire.duration > 0 ? wire.duration : kDefaultDuration));
  if (options.mode == "stream") {
    plan.mode = Mode::kStream;
    plan.size = 128 << 10;
  } else if (options.mode == "request") {
    plan.mode = Mode::kRequest;
    plan.size = 64;
  } else {
    plan.mode = Mode::kConnect;
  }
  if (options.size > 0) plan.size = options.size;
  if (plan.mode == Mode::kConnect) plan.size = 1;
  return plan;
}

Congestion congestion_of(const std::string& name) {
  if (name == "reno") return Congestion::kReno;
  if (name == "bbr") return Congestion::kBbr;
  return name == "dctcp" ? Congestion::kDctcp : Congestion::kCubic;
}

StreamOptions stream_options(const PerfOptions& options) {
  StreamOptions stream{.congestion = congestion_of(options.congestion)};
  if (options.buffer > 0) stream.send_buffer = stream.receive_buffer = options.buffer;
  return stream;
}

double seconds(Duration duration) { return static_cast<double>(duration.count()) * 1e-9; }

double per(double amount, double of) { return of == 0 ? 0 : amount / of; }

// Of both sides: processor time, at the rate of the time stamp counter.
double cycles(const Figures& figures) {
  return static_cast<double>(figures.client.cpu_ns + figures.server.cpu_ns) * 1e-9 * tsc_hz();
}

Json latency_json(const flow::Histogram& latency) {
  return {{"count", latency.count()},
          {"min_ns", latency.least()},
          {"mean_ns", latency.mean()},
          {"p50_ns", latency.percentile(0.5)},
          {"p90_ns", latency.percentile(0.9)},
          {"p99_ns", latency.percentile(0.99)},
          {"p999_ns", latency.percentile(0.999)},
          {"max_ns", latency.most()}};
}

Json figures_json(const Figures& figures, const Plan& plan, const PerfOptions& options) {
  const double time = seconds(figures.elapsed);
  const auto bytes = static_cast<double>(figures.bytes);
  auto json = begin_json("perf", figures.errors == 0 && figures.bytes > 0);
  json["role"] = "client";
  json["form"] = options.kernel ? "kernel" : "tideline";
  json["mode"] = options.mode;
  json["host"] = options.host;
  json["congestion"] = options.congestion;
  json["streams"] = plan.streams;
  json["size_bytes"] = plan.size;
  json["seconds"] = time;
  json["bytes"] = figures.bytes;
  json["bytes_per_s"] = per(bytes, time);
  json["errors"] = figures.errors;
  if (plan.mode != Mode::kStream) {
    json[plan.mode == Mode::kRequest ? "requests_per_s" : "connections_per_s"] =
        per(static_cast<double>(figures.done), time);
    json["p50_ns"] = figures.latency.percentile(0.5);
    json["p99_ns"] = figures.latency.percentile(0.99);
    json["latency"] = latency_json(figures.latency);
  }
  json["cpu_s"] = static_cast<double>(figures.client.cpu_ns) * 1e-9;
  json["tsc_hz"] = tsc_hz();
  json["kernel_copies_per_byte"] =
      per(static_cast<double>(figures.client.copied + figures.server.copied), bytes);
  if (plan.mode == Mode::kStream) {
    json["server_cpu_s"] = static_cast<double>(figures.server.cpu_ns) * 1e-9;
    // Of both sides: from buffer to buffer.
    json["passes_per_byte"] =
        per(static_cast<double>(figures.client.passed + figures.server.passed), bytes);
    json["sender"] = {
        {"passes_per_byte", per(static_cast<double>(figures.client.passed), bytes)},
        {"kernel_copies_per_byte", per(static_cast<double>(figures.client.copied), bytes)}};
    json["cycles_per_byte"] = per(cycles(figures), bytes);
  }
  return json;
}

void print(const Figures& figures, const Plan& plan, const PerfOptions& options) {
  const double time = seconds(figures.elapsed);
  const auto bytes = static_cast<double>(figures.bytes);
  const flow::Histogram& latency = figures.latency;
  if (plan.mode == Mode::kStream) {
    fmt::print(
        "{} stream{} of {} bytes a write: {:.3f} Gb/s over {:.3f} s; {:.2f} passes/byte, {:.2f} "
        "kernel copies/byte, {:.2f} cycles/byte; {:.2f} s of processor here, {:.2f} s there; {}\n",
        plan.streams, plan.streams == 1 ? "" : "s", plan.size, per(bytes, time) * 8e-9, time,
        per(static_cast<double>(figures.client.passed + figures.server.passed), bytes),
        per(static_cast<double>(figures.client.copied + figures.server.copied), bytes),
        per(cycles(figures), bytes), static_cast<double>(figures.client.cpu_ns) * 1e-9,
        static_cast<double>(figures.server.cpu_ns) * 1e-9, options.kernel ? "kernel" : "tideline");
  } else {
    const auto us = [&](double share) {
      return static_cast<double>(latency.percentile(share)) * 1e-3;
    };
    fmt::print(
        "{} {} at a time, {} bytes: {:.0f} per second over {:.3f} s; p50 {:.2f} us, p99 {:.2f} us, "
        "p99.9 {:.2f} us, max {:.2f} us; {:.2f} s of processor; {}\n",
        plan.streams, plan.mode == Mode::kRequest ? "requests" : "connections", plan.size,
        per(static_cast<double>(figures.done), time), time, us(0.5), us(0.99), us(0.999),
        static_cast<double>(latency.most()) * 1e-3,
        static_cast<double>(figures.client.cpu_ns) * 1e-9, options.kernel ? "kernel" : "tideline");
  }
  if (figures.errors > 0) fmt::print("{} connections failed\n", figures.errors);
}

int run_client(const WireOptions& wire, const PerfOptions& options) {
  const Plan plan = make_plan(wire, options);
  const Endpoint server = value_or_throw(Endpoint::parse(options.host, flow::kPort));
  if (options.kernel) {
    StopFlag stop(nullptr);
    const auto net = value_or_throw(flow::KernelNet::create());
    flow::Client<flow::KernelNet> client(*net, server, plan, {}, stop.stopped());
    const Figures figures = value_or_throw(client.run());
    if (wire.json) {
      print_json(figures_json(figures, plan, options));
    } else {
      print(figures, plan, options);
    }
    return figures.errors == 0 ? kDone : kNegative;
  }
  ApiSession session(wire);
  flow::EngineNet net(session.engine(), session.host(), options.copy);
  flow::Client<flow::EngineNet> client(net, server, plan, stream_options(options),
                                       session.stopped());
  const Figures figures = value_or_throw(client.run());
  const EngineStats stats = session.engine().stats();
  if (wire.json) {
    auto json = figures_json(figures, plan, options);
    json["seed"] = session.engine().seed();
    json["drops"] = to_json(stats.drops);
    print_json(json);
  } else {
    print(figures, plan, options);
    if (!wire.impair.empty()) fmt::print("seed {}\n", session.engine().seed());
    print_drops(to_json(stats.drops));
  }
  value_or_throw(session.engine().flush_capture());
  return figures.errors == 0 ? kDone : kNegative;
}

void print_totals(const flow::ServerTotals& totals, const Json& drops, const char* form,
                  bool json) {
  if (json) {
    auto object = begin_json("perf", true);
    object["role"] = "server";
    object["form"] = form;
    object["connections"] = totals.connections;
    object["requests"] = totals.requests;
    object["bytes"] = totals.bytes;
    object["strangers"] = totals.strangers;
    object["drops"] = drops;
    print_json(object);
    return;
  }
  fmt::print("{} connections, {} requests, {} bytes received; {} connections of strangers\n",
             totals.connections, totals.requests, totals.bytes, totals.strangers);
  print_drops(drops);
}

void announce(const std::string& where, bool json) {
  if (json) return;
  fmt::print("ready: perf server {}, TCP port {}\n", where, flow::kPort);
  std::fflush(stdout);
}

int run_server(const WireOptions& wire, const PerfOptions& options) {
  if (options.kernel) {
    StopFlag stop(nullptr);
    const auto net = value_or_throw(flow::KernelNet::create());
    auto listener = value_or_throw(
        net->listen(flow::kPort, {.backlog = 4096, .stream = stream_options(options)}));
    flow::Server<flow::KernelNet> server(*net, std::move(listener), options.poll, stop.stopped());
    announce("on the kernel's addresses", wire.json);
    server.run(end_of(wire));
    print_totals(server.totals(), Json::object(), "kernel", wire.json);
    return kDone;
  }
  ApiSession session(wire);
  flow::EngineNet net(session.engine(), session.host(), options.copy);
  auto listener =
      value_or_throw(net.listen(flow::kPort, {.backlog = 4096, .stream = stream_options(options)}));
  flow::Server<flow::EngineNet> server(net, std::move(listener), options.poll, session.stopped());
  announce(session.text(wire), wire.json);
  server.run(end_of(wire));
  print_totals(server.totals(), to_json(session.engine().stats().drops), "tideline", wire.json);
  value_or_throw(session.engine().flush_capture());
  return kDone;
}

}  // namespace

int perf(const WireOptions& wire, const PerfOptions& options) {
  if (options.listen == !options.host.empty()) {
    throw Failure({.kind = ErrorKind::kUsage,
                   .what = options.listen ? "a server has no HOST" : "nobody to connect to",
                   .remedy = "give either HOST or --listen"});
  }
  return options.listen ? run_server(wire, options) : run_client(wire, options);
}

}  // namespace tideline::app
