// SPDX-License-Identifier: Apache-2.0
#include "port/impairment_spec.h"

#include <fmt/core.h>

#include <array>
#include <charconv>
#include <optional>
#include <span>

namespace tideline::port {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};
constexpr std::array<Unit, 1> kPercent{{{"%", 0.01}}};
constexpr std::array<Unit, 4> kTimes{{{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}}};
constexpr std::array<Unit, 4> kRates{{{"bit", 1}, {"kbit", 1e3}, {"Mbit", 1e6}, {"Gbit", 1e9}}};

constexpr std::array<Unit, 3> kSizes{{{"B", 1}, {"kB", 1e3}, {"MB", 1e6}}};
constexpr std::array<Unit, 1> kBytes{{{"", 1}}};

constexpr double kLeastMtu = 68;  // RFC 791 §3.1
constexpr double kMostMtu = 65535;
constexpr double kMaxTime = 3600e9;  // an hour, in nanoseconds
constexpr double kMaxRate = 1e13;
constexpr double kMaxBurst = 1e9;

// "25ms" by kTimes is 25e6. Nothing negative, and no number without a unit.
std::optional<double> parse_quantity(std::string_view text, std::span<const Unit> units) {
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || !(value >= 0)) return std::nullopt;
  const std::string_view rest(end, text.data() + text.size());
  for (const Unit& unit : units) {
    if (rest == unit.name) return value * unit.factor;
  }
  return std::nullopt;
}

// Sets what `key` names; false if the value makes no sense, nothing if there is no such key.
std::optional<bool> apply(ImpairmentSpec& spec, std::string_view key, std::string_view value) {
  const auto probability = [&](double& target) {
    const auto number = parse_quantity(value, kPercent);
    if (!number || *number > 1) return false;
    target = *number;
    return true;
  };
  const auto time = [&](Duration& target) {
    const auto number = parse_quantity(value, kTimes);
    if (!number || *number > kMaxTime) return false;
    target = Duration(static_cast<std::int64_t>(*number));
    return true;
  };
  const auto rate = [&](std::uint64_t& target) {
    const auto number = parse_quantity(value, kRates);
    if (!number || *number < 1 || *number > kMaxRate) return false;
    target = static_cast<std::uint64_t>(*number);
    return true;
  };
  if (key == "loss") return probability(spec.loss);
  if (key == "reorder") return probability(spec.reorder);
  if (key == "late") return probability(spec.late);
  if (key == "dup") return probability(spec.dup);
  if (key == "corrupt") return probability(spec.corrupt);
  if (key == "delay") return time(spec.delay);
  if (key == "jitter") return time(spec.jitter);
  if (key == "lateness") return time(spec.lateness);
  if (key == "queue") return time(spec.queue);
  if (key == "rate") return rate(spec.rate_bits);
  if (key == "police") return rate(spec.police_bits);
  if (key == "mtu") {
    const auto number = parse_quantity(value, kBytes);
    if (!number || *number < kLeastMtu || *number > kMostMtu) return false;
    spec.mtu = static_cast<std::uint32_t>(*number);
    return true;
  }
  if (key != "burst") return std::nullopt;
  const auto number = parse_quantity(value, kSizes);
  if (!number || *number < 1 || *number > kMaxBurst) return false;
  spec.burst_bytes = static_cast<std::uint64_t>(*number);
  return true;
}

std::unexpected<Error> usage(std::string what) {
  return fail({.kind = ErrorKind::kUsage,
               .what = std::move(what),
               .remedy = "write it like loss=1%,delay=25ms,jitter=2ms,reorder=0.5%,late=5%,"
                         "lateness=10ms,dup=0.1%,corrupt=0.01%,rate=1Gbit,queue=50ms,"
                         "police=100Mbit,burst=64kB,mtu=1400"});
}

}  // namespace

Result<ImpairmentSpec> ImpairmentSpec::parse(std::string_view text) {
  ImpairmentSpec spec;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view part = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) {
      return usage(fmt::format("impairment '{}' has no value", part));
    }
    const std::string_view value = part.substr(equals + 1);
    const std::optional<bool> applied = apply(spec, part.substr(0, equals), value);
    if (!applied) return usage(fmt::format("there is no impairment '{}'", part.substr(0, equals)));
    if (!*applied) return usage(fmt::format("impairment '{}' has no such value", part));
  }
  if (spec.jitter > spec.delay) return usage("jitter cannot be more than the delay");
  if (spec.reorder > 0 && spec.delay == Duration::zero()) {
    return usage("reorder needs a delay, for a frame overtakes those that wait");
  }
  if ((spec.late > 0) != (spec.lateness > Duration::zero())) {
    return usage("late needs a lateness, and that a probability");
  }
  if (spec.queue > Duration::zero() && spec.rate_bits == 0) {
    return usage("queue needs a rate, for which frames wait");
  }
  if ((spec.police_bits > 0) != (spec.burst_bytes > 0)) {
    return usage("police needs a burst, and that a rate to exceed");
  }
  return spec;
}

}  // namespace tideline::port
