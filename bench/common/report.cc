// SPDX-License-Identifier: Apache-2.0
#include "common/report.h"

#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/latency.h"

namespace bench {
namespace {

// Four significant digits, without an exponent for the sizes that benchmarks have.
std::string number(double value) {
  if (value >= 1000) return fmt::format("{:.0f}", value);
  return fmt::format("{:.4g}", value);
}

nlohmann::json to_json(const Figure& figure) {
  nlohmann::json object{{"name", figure.name}, {"value", figure.value}, {"unit", figure.unit}};
  if (figure.limit) {
    object["limit_name"] = figure.limit_name;
    object["limit"] = *figure.limit;
    if (figure.ratio) object["ratio"] = *figure.ratio;
  }
  return object;
}

nlohmann::json to_json(const Table& table) {
  nlohmann::json rows = nlohmann::json::array();
  for (const Table::Row& row : table.rows) {
    rows.push_back({{"labels", row.labels}, {"values", row.values}});
  }
  return {{"name", table.name}, {"columns", table.columns}, {"rows", rows}};
}

}  // namespace

Report::Report(std::string name, std::string title)
    : name_(std::move(name)), title_(std::move(title)) {}

void Report::figure(std::string name, double value, std::string unit) {
  figures_.push_back({.name = std::move(name), .value = value, .unit = std::move(unit)});
}

void Report::figure(std::string name, double value, std::string unit, std::string limit_name,
                    double limit) {
  figures_.push_back({.name = std::move(name),
                      .value = value,
                      .unit = std::move(unit),
                      .limit_name = std::move(limit_name),
                      .limit = limit,
                      .ratio = limit != 0 ? std::optional(value / limit) : std::nullopt});
}

void Report::figure(std::string name, std::span<const std::pair<double, double>> pairs,
                    std::string unit, std::string limit_name) {
  std::vector<double> values;
  std::vector<double> limits;
  std::vector<double> ratios;
  for (const auto& [value, limit] : pairs) {
    values.push_back(value);
    limits.push_back(limit);
    ratios.push_back(value / limit);
  }
  figures_.push_back({.name = std::move(name),
                      .value = median(std::move(values)),
                      .unit = std::move(unit),
                      .limit_name = std::move(limit_name),
                      .limit = median(std::move(limits)),
                      .ratio = median(std::move(ratios))});
}

void Report::table(Table table) { tables_.push_back(std::move(table)); }

void Report::check(std::string name, bool holds, std::string detail) {
  checks_.push_back({.name = std::move(name), .holds = holds, .detail = std::move(detail)});
}

void Report::note(std::string text) { notes_.push_back(std::move(text)); }

int Report::finish(const std::string& json_path) const {
  std::size_t width = 0;
  for (const Figure& figure : figures_) width = std::max(width, figure.name.size());
  for (const Check& check : checks_) width = std::max(width, check.name.size());

  fmt::print("\n{}: {}\n", name_, title_);
  for (const Figure& figure : figures_) {
    fmt::print("  {:<{}}  {:>9} {:<6}", figure.name, width, number(figure.value), figure.unit);
    if (figure.limit) {
      fmt::print("  {} {} {}", figure.limit_name, number(*figure.limit), figure.unit);
      if (figure.ratio) fmt::print(", ratio {:.2f}", *figure.ratio);
    }
    fmt::print("\n");
  }
  bool all_hold = true;
  for (const Check& check : checks_) {
    all_hold = all_hold && check.holds;
    fmt::print("  {:<{}}  {:>9}  {}\n", check.name, width, check.holds ? "holds" : "FAILS",
               check.detail);
  }
  for (const std::string& text : notes_) fmt::print("  note: {}\n", text);

  if (!json_path.empty()) {
    nlohmann::json object{{"name", name_}, {"title", title_}, {"notes", notes_}};
    object["figures"] = nlohmann::json::array();
    for (const Figure& figure : figures_) object["figures"].push_back(to_json(figure));
    object["checks"] = nlohmann::json::array();
    for (const Check& check : checks_) {
      object["checks"].push_back(
          {{"name", check.name}, {"holds", check.holds}, {"detail", check.detail}});
    }
    object["tables"] = nlohmann::json::array();
    for (const Table& table : tables_) object["tables"].push_back(to_json(table));
    std::ofstream file(json_path);
    file << object.dump(2) << '\n';
    file.close();
    if (!file) {
      fmt::print(stderr, "cannot write the results to {}\n", json_path);
      return 3;
    }
  }
  return all_hold ? 0 : 1;
}

}  // namespace bench
