// SPDX-License-Identifier: Apache-2.0
// `tideline serve`: the files of a directory over HTTP/1.1.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <utility>

#include "api_session.h"
#include "base/clock.h"
#include "commands.h"
#include "http/files.h"
#include "http/server.h"
#include "report.h"
#include "session.h"

namespace tideline::app {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(500);
constexpr Duration kWindDown = std::chrono::seconds(5);

void run(Engine& engine, http::Server& server, Instant end, const std::atomic<bool>& stop) {
  Instant tick = monotonic_now() + kTick;
  while (!stop) {
    const Instant now = monotonic_now();
    if (now >= end) return;
    if (now >= tick) {
      server.run_timers(now);
      tick = now + kTick;
    }
    engine.wait(std::min(tick, end) - now);
    while (const auto event = engine.next()) server.handle(*event, now);
  }
}

}  // namespace

int serve(const WireOptions& wire, const ServeOptions& options) {
  auto files = value_or_throw(http::Files::open(options.directory));
  ApiSession session(wire);
  Engine& engine = session.engine();
  auto listener = value_or_throw(session.host().listen(
      options.port,
      {.backlog = 1024,
       .stream = {.send_buffer = std::size_t{1} << 20, .receive_buffer = std::size_t{64} << 10}}));
  http::Server server(std::move(listener), std::move(files), {});
  if (!wire.json) {
    fmt::print("ready: serving {} {}, TCP port {}\n", options.directory, session.text(wire),
               options.port);
    std::fflush(stdout);
  }
  run(engine, server, end_of(wire), session.stopped());

  // Answers under way are finished.
  server.wind_down();
  const Instant limit = monotonic_now() + kWindDown;
  while (!server.is_idle() && monotonic_now() < limit) {
    engine.wait(std::chrono::milliseconds(100));
    while (const auto event = engine.next()) server.handle(*event, monotonic_now());
    server.run_timers(monotonic_now());
  }
  engine.drain(std::chrono::seconds(1));
  const http::ServerCounters& counters = server.counters();
  if (wire.json) {
    auto json = begin_json("serve", true);
    json["connections"] = counters.connections;
    json["requests"] = counters.requests;
    json["errors"] = counters.errors;
    json["bytes"] = counters.bytes;
    json["aborted"] = counters.aborted;
    json["seed"] = engine.seed();
    json["drops"] = to_json(engine.stats().drops);
    print_json(json);
  } else {
    fmt::print("{} connections, {} requests, {} errors, {} bytes, {} aborted\n",
               counters.connections, counters.requests, counters.errors, counters.bytes,
               counters.aborted);
    print_drops(to_json(engine.stats().drops));
  }
  value_or_throw(engine.flush_capture());
  return kDone;
}

}  // namespace tideline::app
