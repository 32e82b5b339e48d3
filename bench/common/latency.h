// SPDX-License-Identifier: Apache-2.0
// Samples of a duration, and their quantiles. All samples are kept, so the quantiles are exact. One
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace bench {

class LatencySamples {
 public:
  // `expected` samples are reserved, and their pages touched, so that add() costs a store.
  explicit LatencySamples(std::size_t expected = 0);

  // A sample in TSC ticks (base/clock.h); converted only when it is read.
  void add_ticks(std::uint64_t ticks) {
    ticks_.push_back(ticks);
    sorted_ = false;
  }
  void merge(const LatencySamples& other);
  std::size_t count() const { return ticks_.size(); }

  // The smallest sample that at least the fraction `q` of the samples do not exceed; 0 < q <= 1.
  // Zero without samples. Sorts.
  double quantile_ns(double q);

 private:
  std::vector<std::uint64_t> ticks_;
  bool sorted_ = false;
};

// The median of a few repetitions. Takes a copy, for it sorts. `values` must not be empty.
double median(std::vector<double> values);

}  // namespace bench
