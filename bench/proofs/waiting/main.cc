// SPDX-License-Identifier: Apache-2.0
// Proof 2: two cores, two and three processes. Which rule decides how long to spin, what it costs
// to sleep and to wake, and that no wake-up is lost. The decision is in docs/adr/0002-waiting.md.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/cli.h"
#include "common/latency.h"
#include "common/process.h"
#include "common/report.h"
#include "proofs/waiting/handovers.h"
#include "proofs/waiting/primitives.h"
#include "proofs/waiting/scenario.h"

namespace proofs::waiting {
namespace {

using tideline::Duration;

struct Row {
  Scenario scenario;
  Measured measured;  // medians over the rounds
};

// What a rule is judged by: time per message for the programs, and processor time for the machine
// where a program is paced, for there every rule has the same rate.
double cost_of(const Row& row) {
  if (row.scenario.pattern == Pattern::kPaced)
    return row.measured.p50_ns / 1000 + row.measured.cpu_us;
  return 1e6 / row.measured.per_s;
}

std::pair<std::string, Pattern> group_of(const Row& row) {
  return {row.scenario.placement, row.scenario.pattern};
}

// The cost of every rule set relative to the best one of each combination: the geometric mean and
// the worst.
void judge_rules(const std::vector<Row>& rows, bench::Report& report) {
  std::map<std::pair<std::string, Pattern>, double> best;
  for (const Row& row : rows) {
    const auto [entry, fresh] = best.try_emplace(group_of(row), cost_of(row));
    if (!fresh) entry->second = std::min(entry->second, cost_of(row));
  }
  struct Score {
    double log_sum = 0;
    double worst = 0;
    int count = 0;
  };
  std::vector<std::pair<std::string, Score>> scores;
  for (const Row& row : rows) {
    auto entry =
        std::ranges::find(scores, row.scenario.rules_name, &std::pair<std::string, Score>::first);
    if (entry == scores.end()) {
      entry = scores.insert(scores.end(), {row.scenario.rules_name, Score()});
    }
    const double relative = cost_of(row) / best[group_of(row)];
    entry->second.log_sum += std::log(relative);
    entry->second.worst = std::max(entry->second.worst, relative);
    ++entry->second.count;
  }
  for (const auto& [name, score] : scores) {
    report.figure(fmt::format("cost beside the best, mean: {}", name),
                  std::exp(score.log_sum / score.count), "x");
    report.figure(fmt::format("cost beside the best, worst: {}", name), score.worst, "x");
  }
}

void print_row(const Row& row) {
  const Measured& m = row.measured;
  fmt::print("  {:<19} {:<10} {:<24} {:>9.2f} {:>9.2f} {:>9.2f} {:>12.0f} {:>9.3f} {:>7.2f}\n",
             row.scenario.placement, name_of(row.scenario.pattern), row.scenario.rules_name,
             m.p50_ns / 1000, m.p99_ns / 1000, m.p999_ns / 1000, m.per_s, m.cpu_us, m.sleeps);
}

// The median of each figure on its own.
Measured median_of(const std::vector<Measured>& rounds) {
  const auto median = [&](double Measured::* figure) {
    std::vector<double> values;
    values.reserve(rounds.size());
    for (const Measured& round : rounds) values.push_back(round.*figure);
    return bench::median(std::move(values));
  };
  return {.p50_ns = median(&Measured::p50_ns),
          .p99_ns = median(&Measured::p99_ns),
          .p999_ns = median(&Measured::p999_ns),
          .per_s = median(&Measured::per_s),
          .cpu_us = median(&Measured::cpu_us),
          .sleeps = median(&Measured::sleeps),
          .complete = std::ranges::all_of(rounds, &Measured::complete)};
}

// All combinations in turn, several times over: the machine's mood changes by the minute.
tideline::Result<std::vector<Row>> measure_rounds(int count, Duration duration) {
  const std::vector<Scenario> scenarios = all_scenarios();
  fmt::print("{} combinations, {} rounds of {} ms each\n", scenarios.size(), count,
             duration.count() / 1'000'000);
  std::vector<std::vector<Measured>> rounds(scenarios.size());
  for (int round = 0; round < count; ++round) {
    for (std::size_t i = 0; i < scenarios.size(); ++i) {
      auto measured = run(scenarios[i], duration);
      if (!measured) return tideline::fail(measured.error());
      rounds[i].push_back(*measured);
    }
    fmt::print(stderr, "  round {} of {} done\n", round + 1, count);
  }
  std::vector<Row> rows;
  rows.reserve(scenarios.size());
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    rows.push_back({.scenario = scenarios[i], .measured = median_of(rounds[i])});
  }
  return rows;
}

tideline::Status measure_matrix(const bench::Options& options, bench::Report& report) {
  auto rows = options.quick ? measure_rounds(1, std::chrono::milliseconds(60))
                            : measure_rounds(3, std::chrono::milliseconds(150));
  if (!rows) return tideline::fail(rows.error());
  fmt::print("round trips in us, processor time in us per message\n");
  fmt::print("  {:<19} {:<10} {:<24} {:>9} {:>9} {:>9} {:>12} {:>9} {:>7}\n", "placement",
             "pattern", "rule", "p50", "p99", "p99.9", "per s", "cpu", "sleeps");
  bool complete = true;
  bench::Table table{.name = "waiting",
                     .columns = {"p50_us", "p99_us", "p999_us", "per_s", "cpu_us", "sleeps"},
                     .rows = {}};
  for (const Row& row : *rows) {
    const Measured& m = row.measured;
    complete = complete && m.complete;
    print_row(row);
    table.rows.push_back(
        {.labels = {row.scenario.placement, std::string(name_of(row.scenario.pattern)),
                    row.scenario.rules_name},
         .values = {m.p50_ns / 1000, m.p99_ns / 1000, m.p999_ns / 1000, m.per_s, m.cpu_us,
                    m.sleeps}});
  }
  report.table(std::move(table));
  report.check("every message arrives, in order, in every combination", complete,
               fmt::format("{} combinations", rows->size()));
  if (complete) judge_rules(*rows, report);
  return {};
}

// And that the check could fail: with the fences taken away, the same hand-overs lose wake-ups.
tideline::Status check_handovers(const bench::Options& options, bench::Report& report) {
  HandoverPlan plan{.items = options.quick ? 20'000'000U : 1'000'000'000U,
                    .sleeps = options.quick ? 20'000U : 1'000'000U,
                    .seed = options.seed};
  auto whole = hand_over(plan);
  if (!whole) return tideline::fail(whole.error());
  report.check(
      "no wake-up is lost",
      whole->in_order && whole->lost == 0 && whole->handed_over >= plan.items &&
          whole->slept >= plan.sleeps,
      fmt::format("{} hand-overs, {} slept, {} lost, seed {}, {:.0f} s", whole->handed_over,
                  whole->slept, whole->lost, options.seed, whole->seconds));

  // Each lost one costs the watchdog's time: small rounds, and the first is enough.
  plan = {.items = 200'000,
          .sleeps = 4'000,
          .seed = options.seed,
          .fences = Fences::kRemoved,
          .stop_at_first_loss = true};
  auto control = hand_over(plan);
  if (!control) return tideline::fail(control.error());
  report.check("the control without fences loses wake-ups", control->lost > 0,
               fmt::format("{} hand-overs, {} slept, {} lost, {:.0f} s", control->handed_over,
                           control->slept, control->lost, control->seconds));
  return {};
}

tideline::Status measure(const bench::Options& options, bench::Report& report) {
  if (auto status = measure_primitives(report, options.quick); !status) return status;
  if (auto status = measure_matrix(options, report); !status) return status;
  return check_handovers(options, report);
}

}  // namespace
}  // namespace proofs::waiting

int main(int argc, char** argv) {
  const bench::Options options = bench::parse_options(
      argc, argv, "Waiting on two cores: spin budgets, sleeps and wake-ups of 2 and 3 processes");
  if (bench::usable_cores() < 2) {
    fmt::print(stderr, "this proof needs two cores, and may use {}\n", bench::usable_cores());
    return 3;
  }
  bench::Report report("waiting", "who spins, who sleeps, and for how long, on two cores");
  if (auto status = proofs::waiting::measure(options, report); !status) {
    fmt::print(stderr, "{}\n", status.error().message());
    return 3;
  }
  return report.finish(options.json);
}
