// SPDX-License-Identifier: Apache-2.0
// What a benchmark program has found: figures, the limits they are held against, and properties
// that must hold. Prints a table for people and one JSON object for scripts. One thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace bench {

// One measured value. `unit` is a short text ("ns", "M/s", "Gb/s").
struct Figure {
  std::string name;
  double value = 0;
  std::string unit;
  // What bounds or rivals it, measured in the same run; the ratio value / limit is printed beside
  // it.
  std::string limit_name;
  std::optional<double> limit;
  // value / limit; where the two were measured in pairs, the median over the pairs, which a machine
  // that changes its mood between two pairs does not disturb.
  std::optional<double> ratio;
};

// A property that must hold. A benchmark whose check fails exits with 1; a slow machine never fails
// one.
struct Check {
  std::string name;
  bool holds = false;
  std::string detail;  // how much was tried, or what went wrong
};

// A matrix of figures too large for the summary: printed by the program as it goes, kept in the
// JSON object.
struct Table {
  struct Row {
    std::vector<std::string> labels;
    std::vector<double> values;
  };
  std::string name;
  std::vector<std::string> columns;  // of the values; a unit ends each ("p50_us")
  std::vector<Row> rows;
};

class Report {
 public:
  // `title` names the program's question, for the table's head.
  Report(std::string name, std::string title);

  void figure(std::string name, double value, std::string unit);
  void figure(std::string name, double value, std::string unit, std::string limit_name,
              double limit);
  // `pairs` of a value and its limit, each pair measured in one go; reports the medians.
  void figure(std::string name, std::span<const std::pair<double, double>> pairs, std::string unit,
              std::string limit_name);
  void table(Table table);
  void check(std::string name, bool holds, std::string detail);
  // A sentence about the run that a reader of the figures needs ("huge pages: none reserved").
  void note(std::string text);

  // Prints the table on standard output and, unless `json_path` is empty, writes the JSON object
  // there:
  // {"name", "title", "figures": [{"name","value","unit","limit_name"?,"limit"?,"ratio"?}],
  //  "checks": [{"name","holds","detail"}], "tables": [{"name","columns","rows"}], "notes": [..]}.
  //  Returns the exit status: 1 if a check failed.
  int finish(const std::string& json_path) const;

 private:
  std::string name_;
  std::string title_;
  std::vector<Figure> figures_;
  std::vector<Table> tables_;
  std::vector<Check> checks_;
  std::vector<std::string> notes_;
};

}  // namespace bench
