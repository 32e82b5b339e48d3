// SPDX-License-Identifier: Apache-2.0
#include "compare/reading.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace tideline::app::compare {
namespace {

using Line = std::match_results<std::string_view::const_iterator>;

// std::regex recurses once per character, so it is given no more than a line of this.
constexpr std::size_t kLongestLine = 500;

std::optional<double> number_of(std::string_view text) {
  double value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  return whole && std::isfinite(value) ? std::optional(value) : std::nullopt;
}

std::string_view group_of(const Line& match, std::size_t number) {
  return {match[number].first, match[number].second};
}

template <typename F>
void each_match(std::string_view output, const std::regex& pattern, F&& use) {
  while (!output.empty()) {
    const std::size_t end = std::min(output.find('\n'), output.size());
    const std::string_view line = output.substr(0, std::min(end, kLongestLine));
    Line match;
    if (std::regex_search(line.begin(), line.end(), match, pattern)) use(match);
    output.remove_prefix(std::min(end + 1, output.size()));
  }
}

std::optional<double> find(const Source& source, std::string_view output,
                           const nlohmann::json& json) {
  std::optional<double> found = source.value;
  if (source.pattern) {
    each_match(output, *source.pattern, [&](const Line& match) {
      const auto value = number_of(group_of(match, 1));
      if (value) found = source.sum && found ? *found + *value : *value;
    });
  }
  if (!source.pointer.empty()) {
    const nlohmann::json::json_pointer pointer(source.pointer);
    if (json.contains(pointer) && json[pointer].is_number()) found = json[pointer].get<double>();
  }
  if (found) *found *= source.scale;
  return found;
}

double nanoseconds_per(std::string_view unit, double otherwise) {
  if (unit == "us") return 1e3;
  if (unit == "ms") return 1e6;
  if (unit == "s") return 1e9;
  return otherwise;
}

std::vector<Quantile> find_quantiles(const QuantileSource& source, std::string_view output) {
  std::vector<Quantile> found;
  each_match(output, source.pattern, [&](const Line& match) {
    const auto percent = number_of(group_of(match, 1));
    const auto time = number_of(group_of(match, 2));
    if (!percent || !time || *percent < 0 || *percent > 100) return;
    const std::string_view unit = match.size() > 3 ? group_of(match, 3) : std::string_view();
    found.push_back({.share = *percent / 100, .ns = *time * nanoseconds_per(unit, source.scale)});
  });
  return found;
}

void put_in_order(std::vector<Quantile>& quantiles) {
  const auto below = [](const Quantile& a, const Quantile& b) {
    return std::pair(a.share, a.ns) < std::pair(b.share, b.ns);
  };
  std::ranges::sort(quantiles, below);
  const auto rest = std::ranges::unique(quantiles, {}, &Quantile::share);
  quantiles.erase(rest.begin(), rest.end());
}

}  // namespace

Result<Reading> read_output(const Sources& sources, std::string_view output) {
  const nlohmann::json json = nlohmann::json::parse(output.begin(), output.end(), nullptr, false);
  Reading reading;
  std::string missing;
  const auto get = [&](const std::optional<Source>& source, const char* name) {
    if (!source) return std::optional<double>();
    const auto found = find(*source, output, json);
    if (!found && missing.empty()) missing = name;
    return found;
  };
  reading.bytes = get(sources.bytes, "bytes").value_or(0);
  reading.requests = get(sources.requests, "requests").value_or(0);
  const double seconds = get(sources.seconds, "seconds").value_or(0);
  const auto rate = [&](const std::optional<Source>& source, const char* name, double amount) {
    return source ? get(source, name).value_or(0) : seconds > 0 ? amount / seconds : 0;
  };
  reading.bytes_per_s = rate(sources.bytes_per_s, "bytes_per_s", reading.bytes);
  reading.requests_per_s = rate(sources.requests_per_s, "requests_per_s", reading.requests);
  reading.lost_share = get(sources.lost_share, "lost_share");
  if (sources.quantiles) {
    reading.quantiles = find_quantiles(*sources.quantiles, output);
    if (reading.quantiles.empty() && missing.empty()) missing = "quantiles";
  }
  const auto add = [&](const std::optional<Source>& source, const char* name, double share) {
    if (const auto ns = get(source, name)) reading.quantiles.push_back({.share = share, .ns = *ns});
  };
  add(sources.p50_ns, "p50_ns", 0.5);
  add(sources.p99_ns, "p99_ns", 0.99);
  add(sources.p999_ns, "p999_ns", 0.999);
  put_in_order(reading.quantiles);
  if (!missing.empty()) {
    return fail(
        {.kind = ErrorKind::kPeer, .what = fmt::format("the program did not tell '{}'", missing)});
  }
  if (reading.bytes <= 0 && reading.requests <= 0) {
    return fail({.kind = ErrorKind::kPeer, .what = "the program did nothing"});
  }
  return reading;
}

std::optional<double> quantile(const std::vector<Quantile>& quantiles, double share) {
  constexpr double kRounding = 1e-9;
  // The next one told stands for it if it is no further into the tail than half of what is left.
  const double furthest = 1 - (1 - share) / 2;
  for (const Quantile& each : quantiles) {
    if (each.share >= share - kRounding) {
      return each.share <= furthest ? std::optional(each.ns) : std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace tideline::app::compare
