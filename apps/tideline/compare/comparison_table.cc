// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "compare/columns.h"
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

Words words_of(const Workload& workload, const std::vector<Column>& columns, const About& placement,
               const Cell& cell) {
  Words words{fmt::format("  {}", placement.title), figure_text(workload.figure, cell.value.median),
              spread_text(cell), ratio_text(cell)};
  for (const Column& column : columns) {
    const std::string text = column.text(cell);
    words.push_back(text.empty() ? "-" : text);
  }
  return words;
}

// The first word to the left, figures to the right, one under the other.
void put_aligned(const std::vector<Words>& lines, std::string& text) {
  std::vector<std::size_t> widths;
  for (const Words& words : lines) {
    if (words.size() > widths.size()) widths.resize(words.size());
    // Words that stand alone may be of any length.
    for (std::size_t i = 0; words.size() > 1 && i < words.size(); ++i) {
      widths[i] = std::max(widths[i], words[i].size());
    }
  }
  for (const Words& words : lines) {
    text += fmt::format("{:{}}", words.front(), widths.front());
    for (std::size_t i = 1; i < words.size(); ++i) {
      text += fmt::format("  {:>{}}", words[i], widths[i]);
    }
    text += '\n';
  }
}

void put_rows(const Comparison& comparison, std::size_t index, std::string& text) {
  const Workload& workload = comparison.workloads[index];
  const std::vector<Cell>& cells = comparison.cells[index];
  const std::vector<Column> columns = columns_of(workload, cells);
  std::vector<Words> lines{{workload.title, "", "spread", "ratio"}};
  for (const Column& column : columns) lines.front().push_back(column.brief);
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const About& placement = *comparison.placements[i];
    const Cell& cell = cells[i];
    if (!cell.left_out.empty()) {
      lines.push_back({fmt::format("  {}: left out: {}", placement.title, cell.left_out)});
    } else if (!cell.works()) {
      lines.push_back({fmt::format("  {}: FAILED: {}", placement.title, cell.failure)});
    } else {
      lines.push_back(words_of(workload, columns, placement, cell));
    }
  }
  text += '\n';
  put_aligned(lines, text);
}

}  // namespace

std::string to_table(const Comparison& comparison) {
  std::string text;
  auto out = std::back_inserter(text);
  fmt::format_to(out, "{}, {} cores, Linux {}; {} round(s) of {} s each\n", comparison.machine.cpu,
                 comparison.machine.cores, comparison.machine.kernel, comparison.rounds,
                 comparison.seconds);
  for (std::size_t i = 0; i < comparison.workloads.size(); ++i) put_rows(comparison, i, text);
  fmt::format_to(
      out,
      "\nratio: to the first row that works, above 1 where it is ahead; ?: the rounds do not agree."
      "\ns/GB, us/req: processor time, and of it programs (with their engine in app), daemons and"
      "\nkernel.\n{}\n",
      comparison.judgement());
  if (!comparison.no_syscalls.empty()) {
    fmt::format_to(out, "System calls were not counted: {}.\n", comparison.no_syscalls);
  }
  return text;
}

}  // namespace tideline::app::compare
