// SPDX-License-Identifier: Apache-2.0
#include "compare/comparison.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "compare/comparison_output.h"

namespace tideline::app::compare {
namespace {

constexpr About kFirst{.name = "first", .title = "First", .text = "<one> & \"two\""};
constexpr About kSecond{.name = "second", .title = "Second", .text = "two"};

Workload workload(const char* name) {
  const auto all = builtin_workloads();
  return *std::ranges::find(all, name, &Workload::name);
}

Run run_of(double rate) {
  Run run;
  run.reading = {.requests = 1e6, .requests_per_s = rate, .quantiles = {{0.5, 1e9 / rate}}};
  run.programs = {.user_s = 2, .system_s = 1, .wake_ups = 5e5};
  run.syscalls = 4'000'000;
  return run;
}

Run failed_run() {
  Run run;
  run.failure = "it <broke>";
  return run;
}

Comparison comparison_of(const Rounds& rounds) {
  Comparison comparison;
  comparison.rounds = rounds.size();
  comparison.placements = {&kFirst, &kSecond};
  comparison.workloads = {workload("redis")};
  comparison.cells = {
      make_cells(comparison.workloads[0], rounds, {run_of(1), run_of(1)}, {"", ""})};
  return comparison;
}

TEST(Statistics, SpreadOfNoneOneAndSeveral) {
  EXPECT_EQ(spread_of({}).median, 0);
  EXPECT_EQ(spread_of({7}).median, 7);
  const Spread spread = spread_of({4, 1, 3, 2});
  EXPECT_EQ(spread.median, 2.5);
  EXPECT_EQ(spread.least, 1);
  EXPECT_EQ(spread.most, 4);
}

TEST(Statistics, VerdictNeedsRoundsThatAgree) {
  EXPECT_EQ(judge({.median = 2, .least = 1.5, .most = 3}, 3), Verdict::kAhead);
  EXPECT_EQ(judge({.median = 0.5, .least = 0.4, .most = 0.9}, 3), Verdict::kBehind);
  EXPECT_EQ(judge({.median = 1.5, .least = 0.9, .most = 3}, 3), Verdict::kCannotTell);
  EXPECT_EQ(judge({.median = 1, .least = 0.98, .most = 1.02}, 3), Verdict::kSame);
  EXPECT_EQ(judge({.median = 2, .least = 2, .most = 2}, 1), Verdict::kCannotTell);
}

TEST(Comparison, CellsHaveRatiosOfRoundsAndCostsOfUnits) {
  const Comparison comparison =
      comparison_of({{run_of(100), run_of(200)}, {run_of(50), run_of(150)}});
  const Cell& second = comparison.cells[0][1];
  EXPECT_FALSE(comparison.cells[0][0].ratio);
  ASSERT_TRUE(second.ratio);
  EXPECT_EQ(second.ratio->median, 2.5);
  EXPECT_EQ(second.verdict, Verdict::kAhead);
  EXPECT_EQ(second.value.median, 175);
  EXPECT_EQ(second.cost.total(), 3);  // microseconds of a request
  EXPECT_EQ(second.wake_ups_per_unit, 0.5);
  EXPECT_EQ(second.syscalls_per_unit.value_or(0), 4);
  EXPECT_NE(comparison.judgement().find("agree"), std::string::npos);
}

TEST(Comparison, ProcessorTimeIsToldByWhoseItIs) {
  auto run = run_of(100);
  run.engine = {.user_s = 0.5, .system_s = 0.25};
  run.softirqd_s = 0.125;
  const Comparison comparison = comparison_of({{run_of(100), run}});
  const Cost& cost = comparison.cells[0][1].cost;
  EXPECT_EQ(cost.programs(), 2);
  EXPECT_EQ(cost.engine(), 0.5);
  EXPECT_EQ(cost.kernel(), 1.375);
  EXPECT_EQ(cost.total(), 3.875);
}

TEST(Comparison, TablesHaveTheColumnsThatOneCellFills) {
  const Comparison comparison = comparison_of({{run_of(100), run_of(200)}});
  const std::string table = to_table(comparison);
  for (const char* head : {" p50", "us/req", "programs", "daemons", "kernel", "wakes/req"}) {
    EXPECT_NE(table.find(head), std::string::npos) << head;
  }
  for (const char* head : {" p99", "passes/byte", "lost"}) {
    EXPECT_EQ(table.find(head), std::string::npos) << head;
  }
  const std::string page = to_html(comparison);
  EXPECT_NE(page.find("<th>of it programs</th>"), std::string::npos);
  EXPECT_EQ(page.find("<th>passes per byte</th>"), std::string::npos);
  // Colours go by name, so that a placement has the same in every report.
  EXPECT_NE(page.find("class=\"bar second\""), std::string::npos);
}

TEST(Comparison, WhatFailedIsToldAndTheNextIsTheReference) {
  const Comparison comparison =
      comparison_of({{failed_run(), run_of(2)}, {failed_run(), run_of(2)}});
  EXPECT_FALSE(comparison.ok());
  EXPECT_FALSE(comparison.cells[0][1].ratio);
  EXPECT_NE(to_table(comparison).find("FAILED: it <broke>"), std::string::npos);
  EXPECT_NE(to_html(comparison).find("failed: it &lt;broke&gt;"), std::string::npos);
  EXPECT_EQ(to_json(comparison)["workloads"][0]["results"][0]["failure"], "it <broke>");
}

TEST(Comparison, BusyMachineAndDisagreementAreSaid) {
  Comparison comparison = comparison_of({{run_of(100), run_of(200)}, {run_of(100), run_of(50)}});
  EXPECT_EQ(comparison.cells[0][1].verdict, Verdict::kCannotTell);
  EXPECT_NE(comparison.judgement().find("1 cannot be told"), std::string::npos);
  comparison.others_share = 0.5;
  EXPECT_NE(comparison.judgement().find("too busy"), std::string::npos);
  EXPECT_NE(to_html(comparison).find("&lt;one&gt; &amp; &quot;two&quot;"), std::string::npos);
}

}  // namespace
}  // namespace tideline::app::compare
