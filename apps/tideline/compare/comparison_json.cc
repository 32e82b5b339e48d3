// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <utility>
#include "compare/comparison_output.h"

#include "report.h"

namespace tideline::app::compare {
namespace {

using Json = nlohmann::ordered_json;

Json spread_json(const Spread& spread) {
  return {{"median", spread.median}, {"min", spread.least}, {"max", spread.most}};
}

// In base units: seconds for a byte or a request.
Json cost_json(const Workload& workload, const Cost& cost) {
  const double unit = workload.counts_bytes() ? 1e-9 : 1e-6;
  return {{"programs_user", cost.programs_user * unit},
          {"programs_system", cost.programs_system * unit},
          {"engine_user", cost.engine_user * unit},
          {"engine_system", cost.engine_system * unit},
          {"softirqd", cost.softirqd * unit},
          {"total", cost.total() * unit}};
}

void put_quantiles(const Cell& cell, Json& json) {
  constexpr std::array<std::pair<double, const char*>, 3> kNamed{
      {{0.5, "p50_ns"}, {0.99, "p99_ns"}, {0.999, "p999_ns"}}};
  for (const auto& [share, name] : kNamed) {
    if (const auto ns = quantile(cell.quantiles, share)) json[name] = *ns;
  }
  if (cell.quantiles.empty()) return;
  json["quantiles"] = Json::array();
  for (const Quantile& each : cell.quantiles) {
    json["quantiles"].push_back({{"share", each.share}, {"ns", each.ns}});
  }
}

Json cell_json(const Workload& workload, const About& placement, const Cell& cell) {
  Json json{{"placement", placement.name}, {"ok", cell.works()}};
  if (!cell.left_out.empty()) json["left_out"] = cell.left_out;
  if (!cell.failure.empty()) json["failure"] = cell.failure;
  if (!cell.works()) return json;
  const double scale = workload.counts_bytes() ? 1e3 : 1;
  const std::string unit = workload.counts_bytes() ? "byte" : "request";
  json["runs"] = cell.runs;
  json["value"] = spread_json(cell.value);  // of the workload's figure
  if (cell.ratio) {
    json["ratio"] = spread_json(*cell.ratio);
    json["verdict"] = name_of(cell.verdict);
  }
  put_quantiles(cell, json);
  json["cpu_s_per_" + unit] = cost_json(workload, cell.cost);
  json["wake_ups_per_" + unit] = cell.wake_ups_per_unit / scale;
  if (cell.syscalls_per_unit) json["syscalls_per_" + unit] = *cell.syscalls_per_unit / scale;
  if (cell.passes_per_byte) json["passes_per_byte"] = *cell.passes_per_byte;
  if (cell.lost_share) json["lost_share"] = *cell.lost_share;
  return json;
}

}  // namespace

Json to_json(const Comparison& comparison) {
  Json json = begin_json("compare", comparison.ok());
  json["machine"] = {{"cpu", comparison.machine.cpu},
                     {"cores", comparison.machine.cores},
                     {"kernel", comparison.machine.kernel}};
  json["quick"] = comparison.quick;
  json["seconds"] = comparison.seconds;
  json["rounds"] = comparison.rounds;
  json["took_s"] = comparison.took_s;
  json["others_share"] = comparison.others_share;
  json["noisy"] = comparison.is_noisy();
  json["judgement"] = comparison.judgement();
  if (!comparison.no_syscalls.empty()) json["no_syscalls"] = comparison.no_syscalls;
  json["placements"] = Json::array();
  for (const About* each : comparison.placements) {
    json["placements"].push_back(
        {{"name", each->name}, {"title", each->title}, {"about", each->text}});
  }
  json["workloads"] = Json::array();
  for (std::size_t i = 0; i < comparison.workloads.size(); ++i) {
    const Workload& workload = comparison.workloads[i];
    Json row{{"name", workload.name},
             {"title", workload.title},
             {"figure", name_of(workload.figure)},
             {"better", less_is_better(workload.figure) ? "less" : "more"}};
    row["results"] = Json::array();
    for (std::size_t j = 0; j < comparison.placements.size(); ++j) {
      row["results"].push_back(
          cell_json(workload, *comparison.placements[j], comparison.cells[i][j]));
    }
    json["workloads"].push_back(std::move(row));
  }
  return json;
}

}  // namespace tideline::app::compare
