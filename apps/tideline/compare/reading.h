// SPDX-License-Identifier: Apache-2.0
// Figures out of what a program has said. How a program says them is a workload's business
// (workload.h): patterns and JSON pointers, so that a new program needs no code. No I/O.
#pragma once

#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace tideline::app::compare {

// Where one figure stands: in the first group of a pattern that a line has, at a JSON pointer, or
// it is known. Times `scale`.
struct Source {
  std::optional<std::regex> pattern;
  std::string pointer;            // RFC 6901
  std::optional<double> value{};  // known beforehand
  double scale = 1;
  bool sum = false;  // of all lines; otherwise the last one counts
};

// Percentiles: lines with a percentage, a time, and perhaps its unit (us, ms, s), in three groups.
struct QuantileSource {
  std::regex pattern;
  double scale = 1;  // to nanoseconds, without a unit
};

struct Quantile {
  double share = 0;  // 0.99
  double ns = 0;
};

struct Sources {
  std::optional<Source> bytes;
  std::optional<Source> requests;
  std::optional<Source> seconds;
  std::optional<Source> bytes_per_s;
  std::optional<Source> requests_per_s;
  std::optional<Source> p50_ns;
  std::optional<Source> p99_ns;
  std::optional<Source> p999_ns;
  std::optional<Source> lost_share;
  std::optional<QuantileSource> quantiles;
};

struct Reading {
  double bytes = 0;  // or requests, whichever the workload counts
  double requests = 0;
  double bytes_per_s = 0;
  double requests_per_s = 0;
  std::optional<double> lost_share;
  std::vector<Quantile> quantiles;  // in order
};

// Of a program's output. An error says which figure is missing.
Result<Reading> read_output(const Sources& sources, std::string_view output);

// The least quantile that was told and is not below `share`, if there is one that tells as much:
// 99.22 % stands for p99, 99 % does not for p99.9.
std::optional<double> quantile(const std::vector<Quantile>& quantiles, double share);

}  // namespace tideline::app::compare
