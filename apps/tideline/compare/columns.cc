// SPDX-License-Identifier: Apache-2.0
#include "compare/columns.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace tideline::app::compare {
namespace {

std::string two_digits(const std::optional<double>& value) {
  return value ? fmt::format("{:.2g}", *value) : "";
}

Column quantile_column(const char* name, double share) {
  return {.brief = name, .title = name, .text = [share](const Cell& cell) {
            const auto ns = quantile(cell.quantiles, share);
            return ns ? time_text(*ns) : "";
          }};
}

Column cost_column(const char* brief, std::string title, double (Cost::*part)() const) {
  return {.brief = brief, .title = std::move(title), .text = [part](const Cell& cell) {
            return fmt::format("{:.3g}", (cell.cost.*part)());
          }};
}

}  // namespace

std::vector<Column> columns_of(const Workload& workload, const std::vector<Cell>& cells) {
  const bool bytes = workload.counts_bytes();
  const std::string each = bytes ? "kB" : "request";
  const std::string brief = bytes ? "kB" : "req";
  std::vector<Column> all{
      quantile_column("p50", 0.5),
      quantile_column("p99", 0.99),
      quantile_column("p99.9", 0.999),
      cost_column(bytes ? "s/GB" : "us/req", bytes ? "CPU s per GB" : "CPU us per request",
                  &Cost::total),
      cost_column("programs", "of it programs", &Cost::programs),
      cost_column("daemons", "daemons", &Cost::engine),
      cost_column("kernel", "kernel", &Cost::kernel),
      {.brief = "calls/" + brief,
       .title = "system calls per " + each,
       .text = [](const Cell& cell) { return two_digits(cell.syscalls_per_unit); }},
      {.brief = "wakes/" + brief,
       .title = "wake-ups per " + each,
       .text = [](const Cell& cell) { return two_digits(cell.wake_ups_per_unit); }},
      {.brief = "passes/byte",
       .title = "passes per byte",
       .text = [](const Cell& cell) { return two_digits(cell.passes_per_byte); }},
      {.brief = "lost", .title = "lost", .text = [](const Cell& cell) {
         return cell.lost_share ? fmt::format("{:.1f} %", *cell.lost_share * 100) : "";
       }}};
  std::erase_if(all, [&cells](const Column& column) {
    return std::ranges::none_of(
        cells, [&column](const Cell& cell) { return cell.works() && !column.text(cell).empty(); });
  });
  return all;
}

}  // namespace tideline::app::compare
