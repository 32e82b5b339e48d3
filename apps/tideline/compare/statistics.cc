// SPDX-License-Identifier: Apache-2.0
#include "compare/statistics.h"

#include <algorithm>

namespace tideline::app::compare {

Spread spread_of(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  const double median =
      values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {.median = median, .least = values.front(), .most = values.back()};
}

Verdict judge(const Spread& ratios, std::size_t rounds) {
  constexpr double kSame = 0.03;
  // One round says nothing of how much the next would differ.
  if (rounds < 2) return Verdict::kCannotTell;
  if (ratios.least > 1 - kSame && ratios.most < 1 + kSame) return Verdict::kSame;
  if (ratios.least > 1) return Verdict::kAhead;
  if (ratios.most < 1) return Verdict::kBehind;
  return Verdict::kCannotTell;
}

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kAhead:
      return "ahead";
    case Verdict::kBehind:
      return "behind";
    case Verdict::kSame:
      return "same";
    case Verdict::kCannotTell:
      return "cannot tell";
  }
  return "";
}

}  // namespace tideline::app::compare
