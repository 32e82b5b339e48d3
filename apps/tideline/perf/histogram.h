// SPDX-License-Identifier: Apache-2.0
// Latencies by the million: counts in buckets whose width is a 64th of their value, so that every
// percentile is exact to 1.6 %. One thread.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/time.h"

namespace tideline::app::flow {

class Histogram {
 public:
  void add(Duration latency);
  std::uint64_t count() const { return count_; }
  // The value that `share` of all (0 to 1) do not exceed, in nanoseconds; 0 if there are none.
  std::uint64_t percentile(double share) const;
  std::uint64_t least() const { return count_ == 0 ? 0 : least_; }
  std::uint64_t most() const { return most_; }
  double mean() const;

 private:
  static constexpr unsigned kBits = 6;  // 64 buckets to a power of two
  static constexpr std::size_t kBuckets = (64 - kBits) << kBits;

  static std::size_t bucket_of(std::uint64_t value);
  static std::uint64_t upper_edge(std::size_t bucket);

  std::array<std::uint64_t, kBuckets + (1U << kBits)> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t least_ = UINT64_MAX;
  std::uint64_t most_ = 0;
};

}  // namespace tideline::app::flow
