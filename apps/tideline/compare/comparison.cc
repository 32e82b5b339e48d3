// SPDX-License-Identifier: Apache-2.0
#include "compare/comparison.h"

#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <map>

namespace tideline::app::compare {
namespace {

constexpr double kBusy = 0.1;  // of all cores, used by others

std::vector<Run> working(const Rounds& rounds, std::size_t placement) {
  std::vector<Run> runs;
  for (const auto& round : rounds) {
    if (round[placement] && round[placement]->failure.empty()) runs.push_back(*round[placement]);
  }
  return runs;
}

double median_of(const std::vector<Run>& runs, const std::function<double(const Run&)>& value) {
  std::vector<double> values;
  values.reserve(runs.size());
  for (const Run& run : runs) values.push_back(value(run));
  return spread_of(std::move(values)).median;
}

// Seconds per unit, as Cost has it.
double units_of(const Workload& workload, const Run& run) {
  return run.units() / (workload.counts_bytes() ? 1e9 : 1e6);
}

// Of a kB, or of a request.
double small_units_of(const Workload& workload, const Run& run) {
  return run.units() / (workload.counts_bytes() ? 1e3 : 1);
}

Cost cost_of(const Workload& workload, const std::vector<Run>& runs) {
  const auto median = [&](const std::function<double(const Run&)>& seconds) {
    return median_of(runs, [&](const Run& run) { return seconds(run) / units_of(workload, run); });
  };
  return {.programs_user = median([](const Run& run) { return run.programs.user_s; }),
          .programs_system = median([](const Run& run) { return run.programs.system_s; }),
          .engine_user = median([](const Run& run) { return run.engine.user_s; }),
          .engine_system = median([](const Run& run) { return run.engine.system_s; }),
          .softirqd = median([](const Run& run) { return run.softirqd_s; })};
}

std::vector<Quantile> quantiles_of(const std::vector<Run>& runs) {
  std::map<double, std::vector<double>> by_share;
  for (const Run& run : runs) {
    for (const Quantile& each : run.reading.quantiles) by_share[each.share].push_back(each.ns);
  }
  std::vector<Quantile> medians;
  for (auto& [share, values] : by_share) {
    // Programs that choose where to look do so differently each time.
    if (values.size() * 2 <= runs.size()) continue;
    medians.push_back({.share = share, .ns = spread_of(std::move(values)).median});
  }
  return medians;
}

Cell cell_of(const Workload& workload, const Rounds& rounds, std::size_t placement) {
  Cell cell;
  const std::vector<Run> runs = working(rounds, placement);
  if (runs.empty()) {
    for (const auto& round : rounds) {
      if (round[placement]) cell.failure = round[placement]->failure;
    }
    return cell;
  }
  cell.runs = runs.size();
  std::vector<double> values;
  values.reserve(runs.size());
  for (const Run& run : runs) values.push_back(run.value(workload.figure));
  cell.value = spread_of(std::move(values));
  cell.cost = cost_of(workload, runs);
  cell.quantiles = quantiles_of(runs);
  cell.wake_ups_per_unit = median_of(runs, [&](const Run& run) {
    return (run.programs.wake_ups + run.engine.wake_ups) / small_units_of(workload, run);
  });
  if (workload.counts_bytes() && runs.front().passed_bytes) {
    cell.passes_per_byte = median_of(
        runs, [](const Run& run) { return run.passed_bytes.value_or(0) / run.reading.bytes; });
  }
  if (runs.front().reading.lost_share) {
    cell.lost_share =
        median_of(runs, [](const Run& run) { return run.reading.lost_share.value_or(0); });
  }
  return cell;
}

// Of the rounds in which both worked.
std::vector<double> ratios(Figure figure, const Rounds& rounds, std::size_t ours,
                           std::size_t base) {
  std::vector<double> all;
  for (const auto& round : rounds) {
    if (!round[ours] || !round[base]) continue;
    const double mine = round[ours]->value(figure);
    const double other = round[base]->value(figure);
    if (mine > 0 && other > 0) all.push_back(less_is_better(figure) ? other / mine : mine / other);
  }
  return all;
}

std::string first_line_of(const char* path, std::string_view key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return line.substr(std::min(line.find(':') + 2, line.size()));
  }
  return "unknown";
}

}  // namespace

Machine this_machine() {
  utsname names{};
  ::uname(&names);
  return {.cpu = first_line_of("/proc/cpuinfo", "model name"),
          .cores = static_cast<unsigned>(::sysconf(_SC_NPROCESSORS_ONLN)),
          .kernel = names.release};
}

std::vector<Cell> make_cells(const Workload& workload, const Rounds& rounds,
                             const std::vector<std::optional<Run>>& counted,
                             const std::vector<std::string>& left_out) {
  std::vector<Cell> cells;
  std::optional<std::size_t> base;
  for (std::size_t placement = 0; placement < left_out.size(); ++placement) {
    Cell cell = cell_of(workload, rounds, placement);
    cell.left_out = left_out[placement];
    const auto& count = counted[placement];
    if (count && count->failure.empty() && count->syscalls) {
      cell.syscalls_per_unit =
          static_cast<double>(*count->syscalls) / small_units_of(workload, *count);
    }
    if (cell.works() && base) {
      const std::vector<double> all = ratios(workload.figure, rounds, placement, *base);
      cell.ratio = spread_of(all);
      cell.verdict = judge(*cell.ratio, all.size());
    }
    if (cell.works() && !base) base = placement;
    cells.push_back(std::move(cell));
  }
  return cells;
}

bool Comparison::is_noisy() const { return others_share > kBusy; }

bool Comparison::ok() const {
  return std::ranges::all_of(cells, [](const std::vector<Cell>& row) {
    return std::ranges::all_of(row, [](const Cell& cell) { return cell.failure.empty(); });
  });
}

std::string Comparison::judgement() const {
  std::size_t compared = 0;
  std::size_t unclear = 0;
  for (const auto& row : cells) {
    for (const Cell& cell : row) {
      compared += cell.ratio.has_value();
      unclear += cell.ratio && cell.verdict == Verdict::kCannotTell;
    }
  }
  std::string text;
  if (is_noisy()) {
    text = fmt::format(
        "This machine was too busy for exact figures: others used {:.0f} % of its cores. Measure "
        "again when it is quiet. ",
        others_share * 100);
  } else {
    text = fmt::format("Others used {:.0f} % of the cores. ", others_share * 100);
  }
  if (rounds < 2) {
    text += "One round says nothing of how much the next would differ.";
  } else if (unclear > 0) {
    text +=
        fmt::format("Of {} comparisons, {} cannot be told: their rounds disagree on who is ahead.",
                    compared, unclear);
  } else if (compared > 0) {
    text += fmt::format("All rounds agree on who is ahead in all {} comparisons.", compared);
  }
  return text;
}

std::string time_text(double ns) {
  if (ns < 1e3) return fmt::format("{:.0f} ns", ns);
  if (ns < 1e5) return fmt::format("{:.1f} us", ns / 1e3);
  if (ns < 1e6) return fmt::format("{:.0f} us", ns / 1e3);
  if (ns < 1e9) return fmt::format("{:.2f} ms", ns / 1e6);
  return fmt::format("{:.2f} s", ns / 1e9);
}

std::string figure_text(Figure figure, double value) {
  switch (figure) {
    case Figure::kBytesPerSecond:
      return fmt::format("{:.2f} Gb/s", value * 8e-9);
    case Figure::kRequestsPerSecond:
      return value < 1e4 ? fmt::format("{:.0f} /s", value) : fmt::format("{:.1f} k/s", value / 1e3);
    case Figure::kMedianLatency:
      return time_text(value);
  }
  return {};
}

}  // namespace tideline::app::compare
