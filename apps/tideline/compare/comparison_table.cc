// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <iterator>

#include "compare/comparison_output.h"

namespace tideline::app::compare {
namespace {

std::string ratio_text(const Cell& cell) {
  if (!cell.ratio) return "1";
  const char* mark = cell.verdict == Verdict::kCannotTell ? " ?" : "";
  return fmt::format("{:.2f}{}", cell.ratio->median, mark);
}

// Of its rounds, around the median.
std::string spread_text(const Cell& cell) {
  if (cell.runs < 2 || cell.value.median <= 0) return "";
  const double share = (cell.value.most - cell.value.least) / cell.value.median / 2;
  return fmt::format("+-{:.0f}%", share * 100);
}

std::string row_of(const Workload& workload, const About& placement, const Cell& cell) {
  if (!cell.left_out.empty()) {
    return fmt::format("  {:22} left out: {}\n", placement.title, cell.left_out);
  }
  if (!cell.failure.empty()) {
    return fmt::format("  {:22} FAILED: {}\n", placement.title, cell.failure);
  }
  if (!cell.works()) return fmt::format("  {:22} there was no time\n", placement.title);
  return fmt::format(
      "  {:22} {:>11} {:>6} {:>7} {:>8} {:>8} {:>8} {:>8.3g} {:>8} {:>8.2g}{}{}\n", placement.title,
      figure_text(workload.figure, cell.value.median), spread_text(cell), ratio_text(cell),
      quantile_text(cell, 0.5, "-"), quantile_text(cell, 0.99, "-"),
      quantile_text(cell, 0.999, "-"), cell.cost.total(),
      optional_text(cell.syscalls_per_unit, "-"), cell.wake_ups_per_unit,
      cell.passes_per_byte ? fmt::format("  {:.2f} passes/byte", *cell.passes_per_byte) : "",
      cell.lost_share ? fmt::format("  {:.1f} % lost", *cell.lost_share * 100) : "");
}

}  // namespace

std::string to_table(const Comparison& comparison) {
  std::string text;
  auto out = std::back_inserter(text);
  fmt::format_to(out, "{}, {} cores, Linux {}; {} round(s) of {} s each\n", comparison.machine.cpu,
                 comparison.machine.cores, comparison.machine.kernel, comparison.rounds,
                 comparison.seconds);
  for (std::size_t i = 0; i < comparison.workloads.size(); ++i) {
    const Workload& workload = comparison.workloads[i];
    const char* unit = workload.counts_bytes() ? "kB" : "req";
    fmt::format_to(out, "\n{:24} {:>11} {:>6} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}\n",
                   workload.title, "", "spread", "ratio", "p50", "p99", "p99.9",
                   workload.counts_bytes() ? "s/GB" : "us/req", fmt::format("calls/{}", unit),
                   fmt::format("wakes/{}", unit));
    for (std::size_t j = 0; j < comparison.placements.size(); ++j) {
      text += row_of(workload, *comparison.placements[j], comparison.cells[i][j]);
    }
  }
  fmt::format_to(
      out,
      "\nratio: to the first row that works, above 1 where it is ahead; ?: the rounds do "
      "not agree. s/GB, us/req: processor time of programs, daemons and kernel.\n{}\n",
      comparison.judgement());
  if (!comparison.no_syscalls.empty()) {
    fmt::format_to(out, "System calls were not counted: {}.\n", comparison.no_syscalls);
  }
  return text;
}

}  // namespace tideline::app::compare
