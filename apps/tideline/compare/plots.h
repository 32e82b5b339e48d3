// SPDX-License-Identifier: Apache-2.0
// Plots as inline SVG in a <figure>; an empty text where there is nothing to draw.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "compare/comparison.h"

namespace tideline::app::compare {

// For text and attributes of XML.
std::string escaped(std::string_view text);

using Abouts = std::vector<const About*>;

// A bar for each placement, and a whisker from least to most.
std::string figure_plot(const Workload& workload, const Abouts& placements,
                        const std::vector<Cell>& cells);
// Where processor time goes, for a unit of work.
std::string cost_plot(const Workload& workload, const Abouts& placements,
                      const std::vector<Cell>& cells);
// Latency by percentile, both logarithmic: to the right come 90, 99, 99.9 %.
std::string latency_plot(const Abouts& placements, const std::vector<Cell>& cells);

}  // namespace tideline::app::compare
