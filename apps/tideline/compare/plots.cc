// SPDX-License-Identifier: Apache-2.0
#include "compare/plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace tideline::app::compare {
namespace {

// In units of the drawing.
constexpr double kWidth = 380;
constexpr double kLabels = 142;  // left of bars
constexpr double kValues = 72;   // right of bars
constexpr double kBars = kWidth - kLabels - kValues;
constexpr double kRow = 26;
constexpr double kBar = 14;
constexpr double kLegendLine = 16;

std::string open_figure(const std::string& title, double height) {
  return fmt::format(
      "<figure><figcaption>{0}</figcaption><svg xmlns=\"http://www.w3.org/2000/svg\" "
      "viewBox=\"0 0 {1:.0f} {2:.0f}\" role=\"img\" aria-label=\"{0}\">\n",
      title, kWidth, height);
}

std::string row_label(const About& placement, double y) {
  return fmt::format("<text x=\"0\" y=\"{:.1f}\">{}</text>", y + kBar - 3,
                     escaped(placement.title));
}

std::vector<std::size_t> working(const std::vector<Cell>& cells) {
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].works()) rows.push_back(i);
  }
  return rows;
}

std::string bar(double x, double y, double width, std::string_view colour,
                const std::string& title) {
  return fmt::format(
      "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.0f}\"><title>{}"
      "</title></rect>",
      colour, x, y, std::max(width, 0.0), kBar, title);
}

struct Part {
  const char* colour;
  const char* name;
  double Cost::* seconds;
};
constexpr std::array<Part, 5> kParts{{{"pu", "programs", &Cost::programs_user},
                                      {"ps", "kernel, for programs", &Cost::programs_system},
                                      {"eu", "daemons", &Cost::engine_user},
                                      {"es", "kernel, for daemons", &Cost::engine_system},
                                      {"si", "kernel, soft interrupts", &Cost::softirqd}}};

std::string legend(double y) {
  std::string text;
  double x = 0;
  for (const Part& part : kParts) {
    const double width = 14 + 6.0 * static_cast<double>(std::string_view(part.name).size()) + 12;
    if (x + width > kWidth) {
      x = 0;
      y += kLegendLine;
    }
    text += fmt::format(
        "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"10\" height=\"10\"/>"
        "<text class=\"soft\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>",
        part.colour, x, y - 9, x + 14, y, part.name);
    x += width;
  }
  return text + "\n";
}

// Where percentiles and times are in a plot of latencies.
struct Axes {
  double least_ns = 0;
  double most_ns = 0;
  double tail = 1;  // the smallest share that is left beyond a percentile

  static constexpr double kLeft = 46;
  static constexpr double kRight = 24;  // half of what stands below the last line
  static constexpr double kTop = 8;
  static constexpr double kHeight = 200;

  double x(double share) const {
    const double left = std::clamp(1 - share, tail, 1.0);
    return kLeft + (kWidth - kLeft - kRight) * std::log(left) / std::log(tail);
  }
  double y(double ns) const {
    return kTop + kHeight * (1 - std::log(ns / least_ns) / std::log(most_ns / least_ns));
  }
};

Axes axes_of(const std::vector<Cell>& cells) {
  Axes axes{.least_ns = 1e18, .most_ns = 1, .tail = 0.05};
  for (const Cell& cell : cells) {
    for (const Quantile& each : cell.quantiles) {
      if (each.share < 0.5 || each.ns <= 0) continue;
      axes.least_ns = std::min(axes.least_ns, each.ns);
      axes.most_ns = std::max(axes.most_ns, each.ns);
      // The greatest value of all has no percentile to stand at.
      if (each.share < 0.99995) axes.tail = std::min(axes.tail, 1 - each.share);
    }
  }
  axes.least_ns *= 0.8;
  axes.most_ns *= 1.25;
  return axes;
}

// Of 1 and 3 times a power of ten, without the digits that measured times have.
std::string tick_text(double ns) {
  if (ns < 1e3) return fmt::format("{:g} ns", ns);
  if (ns < 1e6) return fmt::format("{:g} us", ns / 1e3);
  if (ns < 1e9) return fmt::format("{:g} ms", ns / 1e6);
  return fmt::format("{:g} s", ns / 1e9);
}

std::string grid_of(const Axes& axes) {
  std::string text;
  constexpr double kBottom = Axes::kTop + Axes::kHeight;
  for (const double step : {1.0, 3.0}) {
    for (double ns = step; ns < axes.most_ns; ns *= 10) {
      if (ns < axes.least_ns) continue;
      const double y = axes.y(ns);
      text += fmt::format(
          "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{1:.1f}\" y1=\"{2:.1f}\" y2=\"{2:.1f}\"/>"
          "<text class=\"soft\" text-anchor=\"end\" x=\"{3:.1f}\" y=\"{4:.1f}\">{5}</text>",
          Axes::kLeft, kWidth - Axes::kRight, y, Axes::kLeft - 5, y + 4, tick_text(ns));
    }
  }
  for (const double share : {0.5, 0.9, 0.99, 0.999, 0.9999}) {
    if (1 - share < axes.tail * 0.99) continue;
    text += fmt::format(
        "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>"
        "<text class=\"soft\" text-anchor=\"middle\" x=\"{0:.1f}\" y=\"{3:.1f}\">{4} %</text>",
        axes.x(share), Axes::kTop, kBottom, kBottom + 15, share * 100);
  }
  return text + "\n";
}

std::string curve_of(const Axes& axes, const Cell& cell, const About& placement) {
  std::string points;
  for (const Quantile& each : cell.quantiles) {
    if (each.share < 0.5 || each.share >= 0.99995 || each.ns <= 0) continue;
    points += fmt::format("{:.1f},{:.1f} ", axes.x(each.share), axes.y(each.ns));
  }
  return fmt::format("<polyline class=\"curve {}\" points=\"{}\"><title>{}</title></polyline>\n",
                     placement.name, points, escaped(placement.title));
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '&':
        safe += "&amp;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\n':
      case '\t':
        safe += ' ';
        break;
      default:
        // XML has no other control characters.
        if (static_cast<unsigned char>(c) >= 0x20) safe += c;
    }
  }
  return safe;
}

std::string figure_plot(const Workload& workload, const Abouts& placements,
                        const std::vector<Cell>& cells) {
  const std::vector<std::size_t> rows = working(cells);
  double most = 0;
  for (const std::size_t i : rows) most = std::max(most, cells[i].value.most);
  if (most <= 0) return {};
  const char* title = workload.figure == Figure::kBytesPerSecond ? "Throughput"
                      : workload.figure == Figure::kRequestsPerSecond
                          ? "Requests per second"
                          : "Median latency (less is better)";
  std::string text = open_figure(title, static_cast<double>(rows.size()) * kRow + 4);
  double y = 2;
  for (const std::size_t i : rows) {
    const Spread& value = cells[i].value;
    const auto at = [&](double v) { return kLabels + kBars * v / most; };
    const std::string label = figure_text(workload.figure, value.median);
    text += row_label(*placements[i], y);
    text += bar(kLabels, y, at(value.median) - kLabels, fmt::format("bar {}", placements[i]->name),
                fmt::format("{} ({} to {})", label, figure_text(workload.figure, value.least),
                            figure_text(workload.figure, value.most)));
    text += fmt::format(
        "<line class=\"whisker\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
        at(value.least), at(value.most), y + kBar / 2, y + kBar / 2, at(value.most) + 5,
        y + kBar - 3, label);
    y += kRow;
  }
  return text + "</svg></figure>\n";
}

std::string cost_plot(const Workload& workload, const Abouts& placements,
                      const std::vector<Cell>& cells) {
  const std::vector<std::size_t> rows = working(cells);
  double most = 0;
  for (const std::size_t i : rows) most = std::max(most, cells[i].cost.total());
  if (most <= 0) return {};
  const char* unit = workload.counts_bytes() ? "s/GB" : "&#181;s";
  const double bottom = static_cast<double>(rows.size()) * kRow;
  std::string text =
      open_figure(workload.counts_bytes() ? "Processor time per GB, where it goes"
                                          : "Processor time per request, where it goes",
                  bottom + 44);
  double y = 2;
  for (const std::size_t i : rows) {
    text += row_label(*placements[i], y);
    double x = kLabels;
    for (const Part& part : kParts) {
      const double value = cells[i].cost.*part.seconds;
      const double width = kBars * value / most;
      if (width < 0.05) continue;
      text += bar(x, y, width, part.colour, fmt::format("{}: {:.3g} {}", part.name, value, unit));
      x += width;
    }
    text += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{:.3g} {}</text>\n", x + 5, y + kBar - 3,
                        cells[i].cost.total(), unit);
    y += kRow;
  }
  return text + legend(bottom + 16) + "</svg></figure>\n";
}

std::string latency_plot(const Abouts& placements, const std::vector<Cell>& cells) {
  const bool any = std::ranges::any_of(cells, [](const Cell& c) { return c.quantiles.size() > 1; });
  if (!any) return {};
  const Axes axes = axes_of(cells);
  std::vector<std::size_t> shown;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (cells[i].quantiles.size() > 1) shown.push_back(i);
  }
  constexpr double kLegend = Axes::kTop + Axes::kHeight + 34;
  const std::size_t lines = (shown.size() + 1) / 2;  // in two columns
  std::string text =
      open_figure("Latency by percentile", kLegend + static_cast<double>(lines) * kLegendLine) +
      grid_of(axes);
  for (const std::size_t i : shown) text += curve_of(axes, cells[i], *placements[i]);
  for (std::size_t entry = 0; entry < shown.size(); ++entry) {
    const About& placement = *placements[shown[entry]];
    const double x = entry < lines ? 0 : kWidth / 2;
    const double y = kLegend + static_cast<double>(entry % lines) * kLegendLine;
    text += fmt::format(
        "<line class=\"curve {}\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text class=\"soft\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
        placement.name, x, x + 24, y - 4, y - 4, x + 30, y, escaped(placement.title));
  }
  return text + "</svg></figure>\n";
}

}  // namespace tideline::app::compare
