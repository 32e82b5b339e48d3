// SPDX-License-Identifier: Apache-2.0
// Examples of the command line, for --help and the manual pages.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tideline::app::help {

struct Example {
  const char* line;
  const char* then;  // what it does, or what to do elsewhere; may be empty
  bool as_root = false;
};

std::span<const Example> all_examples();
// Those that begin with `tideline COMMAND`.
std::vector<Example> examples_of(std::string_view command);
// For --help; nothing of nothing.
std::string text_of(std::span<const Example> examples);

}  // namespace tideline::app::help
