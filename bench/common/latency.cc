// SPDX-License-Identifier: Apache-2.0
#include "common/latency.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/clock.h"

namespace bench {

LatencySamples::LatencySamples(std::size_t expected) {
  ticks_.resize(expected);
  ticks_.clear();
}

void LatencySamples::merge(const LatencySamples& other) {
  ticks_.insert(ticks_.end(), other.ticks_.begin(), other.ticks_.end());
  sorted_ = false;
}

double LatencySamples::quantile_ns(double q) {
  CHECK(q > 0 && q <= 1, "quantile {}", q);
  if (ticks_.empty()) return 0;
  if (!sorted_) std::ranges::sort(ticks_);
  sorted_ = true;
  const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(ticks_.size())));
  return static_cast<double>(ticks_[rank - 1]) * 1e9 / tideline::tsc_hz();
}

double median(std::vector<double> values) {
  CHECK(!values.empty());
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  if (values.size() % 2 == 1) return values[middle];
  return (values[middle - 1] + values[middle]) / 2;
}

}  // namespace bench
