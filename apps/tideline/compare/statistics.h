// SPDX-License-Identifier: Apache-2.0
// What repeated runs say together, and whether it is enough to say anything. No I/O.
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace tideline::app::compare {

// Of values that are there: median, least and most. All 0 of none.
struct Spread {
  double median = 0;
  double least = 0;
  double most = 0;
};
Spread spread_of(std::vector<double> values);

// How one placement stands to another, of ratios that were measured in turn, above 1 where it is
// ahead. Two that differ by less than 3 % are the same for every purpose.
enum class Verdict { kAhead, kBehind, kSame, kCannotTell };
Verdict judge(const Spread& ratios, std::size_t rounds);
std::string_view name_of(Verdict verdict);

}  // namespace tideline::app::compare
