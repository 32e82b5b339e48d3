// SPDX-License-Identifier: Apache-2.0
// What CUBIC, Reno, BBR and DCTCP make of a bottleneck, held against what their documents say of
// them: shares, queue, loss. In virtual time. README.md has the questions.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "common/cli.h"
#include "common/report.h"
#include "scene.h"

namespace tideline::bench_congestion {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using tcp::test::LinkOptions;

constexpr std::array kAll{kCubic, kReno, kBbr, kDctcp};

struct Run {
  bench::Report& report;
  std::uint64_t seed;
  bool quick;

  // Of what is measured; the beginning is left out.
  Duration time(Duration full) const { return quick ? full / 6 : full; }
};

LinkOptions with_queue(LinkOptions link, double bdps) {
  link.queue = static_cast<std::size_t>(std::max(bdps * bdp_frames(link), 4.0)) * kFrame;
  return link;
}

// 50 Mb/s, 20 ms: 83 frames.
constexpr LinkOptions kHome{.delay = milliseconds(10), .rate = 50'000'000};

std::vector<double> figures_of(const Outcome& outcome) {
  return {100 * outcome.used,   outcome.jain,       outcome.queue_mean_ms,
          outcome.queue_p99_ms, 100 * outcome.lost, 100 * outcome.marked};
}
const std::vector<std::string> kFigures{"used_%",       "jain",   "queue_mean_ms",
                                        "queue_p99_ms", "lost_%", "marked_%"};

// Four flows of one kind, in queues from a quarter of the path to four times it.
void alike(Run& run) {
  bench::Table table{.name = "alike", .columns = kFigures, .rows = {}};
  for (const double bdps : {0.25, 1.0, 4.0}) {
    for (const Algorithm& algorithm : kAll) {
      Scene scene{.link = with_queue(kHome, bdps),
                  .warm = run.time(seconds(12)),
                  .measured = run.time(seconds(48)),
                  .seed = run.seed};
      for (int i = 0; i < 4; ++i) {
        scene.flows.push_back({algorithm, milliseconds(100 * i)});
      }
      table.rows.push_back(
          {{algorithm.name, fmt::format("{} BDP", bdps)}, figures_of(play(scene))});
    }
  }
  run.report.table(std::move(table));
}

// Two flows of different kinds. draft-ietf-ccwg-bbr §5.3.3.8: beside BBR, Reno and CUBIC keep as
// much as it where the path is 62 packets long, the public Internet's last mile.
void mixed(Run& run) {
  constexpr LinkOptions kLastMile{.delay = milliseconds(15), .rate = 25'000'000};
  bench::Table table{.name = "mixed",
                     .columns = {"first_Mb/s", "second_Mb/s", "queue_mean_ms", "lost_%"},
                     .rows = {}};
  const std::array<std::pair<Algorithm, Algorithm>, 3> pairs{
      {{kBbr, kCubic}, {kBbr, kReno}, {kCubic, kReno}}};
  for (const double bdps : {0.5, 1.0, 2.0, 4.0, 8.0}) {
    for (const auto& [first, second] : pairs) {
      // Who begins has an advantage for a while: both orders, half of the time each.
      Outcome sum{.mbps = {0, 0}};
      for (const bool swapped : {false, true}) {
        const Outcome outcome = play({.link = with_queue(kLastMile, bdps),
                                      .flows = {{first, swapped ? seconds(1) : Duration{}},
                                                {second, swapped ? Duration{} : seconds(1)}},
                                      .warm = run.time(seconds(20)),
                                      .measured = run.time(seconds(60)),
                                      .seed = run.seed});
        for (std::size_t i = 0; i < 2; ++i) sum.mbps[i] += outcome.mbps[i] / 2;
        sum.queue_mean_ms += outcome.queue_mean_ms / 2;
        sum.lost += outcome.lost / 2;
      }
      table.rows.push_back({{first.name, second.name, fmt::format("{} BDP", bdps)},
                            {sum.mbps[0], sum.mbps[1], sum.queue_mean_ms, 100 * sum.lost}});
    }
  }
  run.report.table(std::move(table));
}

// RFC 9438 §5.1: the window, in segments, that CUBIC has on average when a share p is lost; of
// Reno, RFC 5681 with every second segment acknowledged.
double expected_window(const Algorithm& algorithm, double p, double rtt_s) {
  const double reno = std::sqrt(1.5 / p);
  if (algorithm.value == tcp::CongestionAlgorithm::kCubic) {
    return std::max(1.054 * std::pow(rtt_s, 0.75) / std::pow(p, 0.75), reno);
  }
  return reno;
}

// One flow on a path that loses at random, and whose queue is never full: 100 Mb/s, 40 ms.
void random_loss(Run& run) {
  constexpr LinkOptions kLossy{.delay = milliseconds(20), .rate = 100'000'000};
  bench::Table table{.name = "random_loss", .columns = {"Mb/s", "expected_Mb/s"}, .rows = {}};
  for (const double p : {1e-5, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1}) {
    for (const Algorithm& algorithm : {kCubic, kReno, kBbr}) {
      LinkOptions link = with_queue(kLossy, 1);
      link.loss = p;
      const Outcome outcome = play({.link = link,
                                    .flows = {{algorithm}},
                                    .warm = run.time(seconds(10)),
                                    .measured = run.time(seconds(60)),
                                    .seed = run.seed});
      const double full = 100 * kPayload;
      double expected = 0;  // nothing is said
      if (algorithm.value == tcp::CongestionAlgorithm::kBbr) {
        // §5.3.3.8: what is lost in each of the rounds between two probes, on average.
        if (p <= 0.02) expected = full * (1 - std::pow(1 - p, 62)) / (62 * p);
      } else {
        expected = std::min(full, expected_window(algorithm, p, 0.04) * 1448 * 8 / 0.04 * 1e-6);
      }
      table.rows.push_back(
          {{algorithm.name, fmt::format("{:g} %", 100 * p)}, {outcome.mbps[0], expected}});
    }
  }
  run.report.table(std::move(table));
}

// A switch that marks above a threshold: 1 Gb/s, 1 ms; many flows. RFC 8257 §1, §3.1. All ask for
// ECN, so that CUBIC and BBR are marked, too; `cubic, unmarked` is one that does not.
void marks(Run& run) {
  constexpr LinkOptions kSwitch{.delay = microseconds(500),
                                .rate = 1'000'000'000,
                                .queue = 250 * kFrame,
                                .mark_threshold = 20 * kFrame};
  bench::Table table{.name = "marks", .columns = kFigures, .rows = {}};
  const auto add = [&](const Algorithm& algorithm, bool ecn, int flows) {
    Scene scene{.link = kSwitch,
                .ecn = ecn,
                .warm = run.time(milliseconds(600)),
                .measured = run.time(seconds(3)),
                .seed = run.seed};
    for (int i = 0; i < flows; ++i) scene.flows.push_back({algorithm, milliseconds(i)});
    table.rows.push_back({{ecn ? algorithm.name : fmt::format("{}, unmarked", algorithm.name),
                           fmt::format("{} flows", flows)},
                          figures_of(play(scene))});
  };
  for (const int flows : {2, 8, 32}) {
    add(kDctcp, true, flows);
    add(kCubic, true, flows);
    add(kBbr, true, flows);
    add(kCubic, false, flows);
    add(kBbr, false, flows);
  }
  run.report.table(std::move(table));
}

// Two flows, the second of which comes and finds the first: how fast they share, and the queue.
void joining(Run& run) {
  for (const Algorithm& algorithm : {kCubic, kBbr, kDctcp}) {
    LinkOptions link = with_queue(kHome, 2);
    if (algorithm.value == tcp::CongestionAlgorithm::kDctcp) link.mark_threshold = 20 * kFrame;
    const Outcome outcome = play({.link = link,
                                  .flows = {{algorithm}, {algorithm, run.time(seconds(10))}},
                                  .measured = run.time(seconds(40)),
                                  .step = milliseconds(200),
                                  .seed = run.seed});
    bench::Table table{.name = fmt::format("joining_{}", algorithm.name),
                       .columns = {"at_s", "first_Mb/s", "second_Mb/s", "queue_ms"},
                       .rows = {}};
    for (const Step& step : outcome.series) {
      table.rows.push_back({{}, {step.at_s, step.mbps[0], step.mbps[1], step.queue_ms}});
    }
    run.report.table(std::move(table));
  }
}

}  // namespace
}  // namespace tideline::bench_congestion

int main(int argc, char** argv) {
  using namespace tideline::bench_congestion;  // NOLINT(google-build-using-namespace): main
  const bench::Options options = bench::parse_options(
      argc, argv, "Shares, queue and loss of CUBIC, Reno, BBR and DCTCP at a bottleneck.");
  bench::Report report("congestion", "What do the congestion algorithms make of a bottleneck?");
  report.note(fmt::format("virtual time; seed {}", options.seed));
  Run run{.report = report, .seed = options.seed, .quick = options.quick};
  alike(run);
  mixed(run);
  random_loss(run);
  marks(run);
  joining(run);
  return report.finish(options.json);
}
