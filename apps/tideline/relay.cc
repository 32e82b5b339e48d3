// SPDX-License-Identifier: Apache-2.0
// `tideline relay WIRE WIRE`: every frame of one wire leaves on the other. --impair is on both,
// with a seed each; --capture is on the first, which sees all frames of both ways before they are
// spoilt.
#include <fmt/format.h>

#include <cstdio>
#include <utility>

#include "commands.h"
#include "engine/forwarder.h"
#include "report.h"
#include "session.h"

namespace tideline::app {
namespace {

void print_results(engine::Forwarder& forwarder, const RelayOptions& options, std::uint64_t seed) {
  auto json = begin_json("relay", true);
  json["seed"] = seed;
  for (std::size_t side = 0; side < 2; ++side) {
    const port::QueueStats stats = forwarder.port(side).stats(0);
    json["wires"].push_back({{"wire", options.wires[side]},
                             {"rx_frames", stats.rx_frames},
                             {"rx_bytes", stats.rx_bytes},
                             {"tx_frames", stats.tx_frames},
                             {"tx_bytes", stats.tx_bytes},
                             {"segmented", forwarder.function(side).stats().tx_cut},
                             {"drops", drops_of(forwarder.port(side), forwarder.function(side))}});
  }
  print_json(json);
}

void print_summary(engine::Forwarder& forwarder, const RelayOptions& options) {
  for (std::size_t side = 0; side < 2; ++side) {
    const port::QueueStats stats = forwarder.port(side).stats(0);
    fmt::print("{}: {} frames received, {} sent, {} segmented before\n", options.wires[side],
               stats.rx_frames, stats.tx_frames, forwarder.function(side).stats().tx_cut);
    print_drops(drops_of(forwarder.port(side), forwarder.function(side)));
  }
}

}  // namespace

int relay(const WireOptions& wire, const RelayOptions& options) {
  engine::WireOpener wires(wire);
  auto pool = value_or_throw(packet::Pool::create({.segments = 16384, .loans = 8192}));
  engine::Forwarder::Ports ports;
  for (std::size_t side = 0; side < ports.size(); ++side) {
    engine::Leases none;
    ports[side] = value_or_throw(wires.open(options.wires[side], *pool, true, none));
  }
  const auto forwarder =
      value_or_throw(engine::Forwarder::create(std::move(pool), std::move(ports)));
  const StopOnSignal stop_on_signal(*forwarder);
  if (!wire.json) {
    fmt::print("ready: relaying {} and {}", options.wires[0], options.wires[1]);
    if (!wire.impair.empty()) fmt::print(", seed {}", wires.seed());
    fmt::print("\n");
    std::fflush(stdout);
  }
  forwarder->run(end_of(wire));
  value_or_throw(wires.flush());
  if (wire.json) {
    print_results(*forwarder, options, wires.seed());
  } else {
    print_summary(*forwarder, options);
  }
  return kDone;
}

}  // namespace tideline::app
