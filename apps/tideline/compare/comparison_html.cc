// SPDX-License-Identifier: Apache-2.0
// The page: what is said of the machine, a table of ratios, and for each workload its plots and
// figures. All colours are variables of the style sheet, which has a light and a dark set.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <iterator>

#include "compare/columns.h"
#include "compare/comparison_output.h"
#include "compare/page_style.h"
#include "compare/plots.h"

namespace tideline::app::compare {
namespace {

constexpr const char* kDash = "&#8211;";

const char* class_of(const Cell& cell) {
  if (!cell.ratio) return "base";
  switch (cell.verdict) {
    case Verdict::kAhead:
      return "ahead";
    case Verdict::kBehind:
      return "behind";
    case Verdict::kSame:
    case Verdict::kCannotTell:
      return "unclear";
  }
  return "";
}

std::string overview_cell(const Workload& workload, const Cell& cell) {
  if (!cell.left_out.empty()) {
    return fmt::format("<td class=\"none\" title=\"{}\">left out</td>", escaped(cell.left_out));
  }
  if (!cell.works()) {
    return fmt::format("<td class=\"none\" title=\"{}\">failed</td>", escaped(cell.failure));
  }
  const std::string figure = figure_text(workload.figure, cell.value.median);
  const std::string ratio = cell.ratio
                                ? fmt::format("&#215;{:.2f}{}", cell.ratio->median,
                                              cell.verdict == Verdict::kCannotTell ? " ?" : "")
                                : "reference";
  return fmt::format("<td class=\"{}\"><b>{}</b><small>{}</small></td>", class_of(cell), ratio,
                     figure);
}

void put_overview(const Comparison& comparison, std::string& page) {
  page +=
      "<section><h2>Overview</h2>\n<div class=\"scroll\"><table "
      "class=\"overview\"><thead><tr><th>workload</th>";
  for (const About* each : comparison.placements) {
    page += fmt::format("<th title=\"{}\">{}</th>", escaped(each->text), escaped(each->title));
  }
  page += "</tr></thead><tbody>\n";
  for (std::size_t i = 0; i < comparison.workloads.size(); ++i) {
    const Workload& workload = comparison.workloads[i];
    page += fmt::format("<tr><th>{}</th>", escaped(workload.title));
    for (const Cell& cell : comparison.cells[i]) page += overview_cell(workload, cell);
    page += "</tr>\n";
  }
  page +=
      "</tbody></table></div>\n<p class=\"note\">Ratios are to the reference of the row, taken in "
      "turn and above 1 where a placement is ahead; &#8220;?&#8221; marks those whose rounds "
      "disagree on who is ahead.</p></section>\n";
}

void put_figures(const Comparison& comparison, std::size_t workload_index, std::string& page) {
  const Workload& workload = comparison.workloads[workload_index];
  const std::vector<Cell>& cells = comparison.cells[workload_index];
  const std::vector<Column> columns = columns_of(workload, cells);
  page +=
      "<details><summary>All figures</summary><div class=\"scroll\"><table><thead><tr>"
      "<th>placement</th><th>median</th><th>least</th><th>most</th>";
  for (const Column& column : columns) page += fmt::format("<th>{}</th>", escaped(column.title));
  page += "</tr></thead><tbody>\n";
  for (std::size_t i = 0; i < comparison.placements.size(); ++i) {
    const Cell& cell = cells[i];
    page += fmt::format("<tr><th>{}</th>", escaped(comparison.placements[i]->title));
    if (!cell.works()) {
      page += fmt::format("<td class=\"left\" colspan=\"{}\">{}</td></tr>\n", columns.size() + 3,
                          escaped(cell.left_out.empty() ? "failed: " + cell.failure
                                                        : "left out: " + cell.left_out));
      continue;
    }
    for (const double value : {cell.value.median, cell.value.least, cell.value.most}) {
      page += fmt::format("<td>{}</td>", figure_text(workload.figure, value));
    }
    for (const Column& column : columns) {
      const std::string text = column.text(cell);
      page += fmt::format("<td>{}</td>", text.empty() ? kDash : escaped(text));
    }
    page += "</tr>\n";
  }
  page += "</tbody></table></div></details>\n";
}

void put_workload(const Comparison& comparison, std::size_t index, std::string& page) {
  const Workload& workload = comparison.workloads[index];
  const std::vector<Cell>& cells = comparison.cells[index];
  page += fmt::format("<section><h2>{}</h2>\n<div class=\"plots\">\n", escaped(workload.title));
  page += figure_plot(workload, comparison.placements, cells);
  page += cost_plot(workload, comparison.placements, cells);
  page += latency_plot(comparison.placements, cells);
  page += "</div>\n";
  put_figures(comparison, index, page);
  page += "</section>\n";
}

void put_method(const Comparison& comparison, std::string& page) {
  page += "<section><h2>How this was measured</h2>\n<dl>\n";
  for (const About* each : comparison.placements) {
    page += fmt::format("<dt>{}</dt><dd>{}</dd>\n", escaped(each->title), escaped(each->text));
  }
  page += fmt::format(
      "</dl>\n<p>Each run starts the server and the client anew, in network namespaces of their "
      "own, "
      "for {} s; {} round(s), every other one in the opposite order. Figures are medians. Server "
      "and client have a core each, as far as there are enough. Processor time is that of the "
      "client&#8217;s whole life and the server&#8217;s while it served, as the kernel counts it; "
      "in "
      "placement app the engine&#8217;s part is in the programs&#8217;. Wake-ups are voluntary "
      "context switches. {}</p></section>\n",
      comparison.seconds, comparison.rounds,
      comparison.no_syscalls.empty()
          ? "System calls were counted in runs of their own."
          : "System calls were not counted: " + escaped(comparison.no_syscalls) + ".");
}

}  // namespace

std::string to_html(const Comparison& comparison) {
  std::string page = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\"><head>"
      "<meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width\"/>"
      "<title>tideline compare</title>\n<style>{}</style></head>\n<body><main>\n",
      kPageStyle);
  page += fmt::format(
      "<header><h1>tideline compare</h1><p>The same unmodified programs in every placement of the "
      "network stack: how fast, and at what cost.</p>\n<ul class=\"facts\"><li>{}</li>"
      "<li>{} cores</li><li>Linux {}</li><li>{} round(s) of {} s</li></ul>\n"
      "<p class=\"{}\">{}</p></header>\n",
      escaped(comparison.machine.cpu), comparison.machine.cores, escaped(comparison.machine.kernel),
      comparison.rounds, comparison.seconds, comparison.is_noisy() ? "verdict noisy" : "verdict",
      escaped(comparison.judgement()));
  put_overview(comparison, page);
  for (std::size_t i = 0; i < comparison.workloads.size(); ++i) put_workload(comparison, i, page);
  put_method(comparison, page);
  page += "</main></body></html>\n";
  return page;
}

}  // namespace tideline::app::compare
