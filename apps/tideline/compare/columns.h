// SPDX-License-Identifier: Apache-2.0
// What tables say of a cell beyond how fast it was: latency, what it cost, what was lost. No I/O.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "compare/comparison.h"

namespace tideline::app::compare {

struct Column {
  std::string brief;                               // for terminals
  std::string title;                               // for pages
  std::function<std::string(const Cell&)> text{};  // empty where the cell has none
};

// Those that one cell at least fills.
std::vector<Column> columns_of(const Workload& workload, const std::vector<Cell>& cells);

}  // namespace tideline::app::compare
