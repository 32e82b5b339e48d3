// SPDX-License-Identifier: Apache-2.0
#include "perf/histogram.h"

#include <algorithm>
#include <cmath>

namespace tideline::app::flow {

// Below 128 ns a bucket is a nanosecond; from there on the first seven bits of a value choose.
std::size_t Histogram::bucket_of(std::uint64_t value) {
  const unsigned width =
      std::max<unsigned>(static_cast<unsigned>(std::bit_width(value)), kBits + 1);
  const unsigned shift = width - kBits - 1;
  return (std::size_t{shift} << kBits) + static_cast<std::size_t>(value >> shift);
}

std::uint64_t Histogram::upper_edge(std::size_t bucket) {
  if (bucket < (std::size_t{2} << kBits)) return bucket;
  const std::size_t shift = (bucket >> kBits) - 1;
  const std::uint64_t value = bucket - (shift << kBits);
  return ((value + 1) << shift) - 1;
}

void Histogram::add(Duration latency) {
  const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0));
  ++counts_[bucket_of(value)];
  ++count_;
  sum_ += value;
  least_ = std::min(least_, value);
  most_ = std::max(most_, value);
}

std::uint64_t Histogram::percentile(double share) const {
  if (count_ == 0) return 0;
  const auto rank = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= std::max<std::uint64_t>(rank, 1)) return std::min(upper_edge(i), most_);
  }
  return most_;
}

double Histogram::mean() const {
  return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
}

}  // namespace tideline::app::flow
