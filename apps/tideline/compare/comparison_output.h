// SPDX-License-Identifier: Apache-2.0
// A comparison in its three forms: JSON, a table for terminals, and a page with plots.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

#include "compare/comparison.h"

namespace tideline::app::compare {

nlohmann::ordered_json to_json(const Comparison& comparison);
std::string to_table(const Comparison& comparison);
// A page on its own: nothing is fetched, no script; well-formed XML.
std::string to_html(const Comparison& comparison);

}  // namespace tideline::app::compare
