// SPDX-License-Identifier: Apache-2.0
// Where a file is to go, as the user writes it: HOST:NAME, with an IPv6 address in brackets or not.
// Without a NAME it keeps its own. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace tideline::app::copy {

struct Target {
  std::string host;
  std::string name;
};

Result<Target> parse_target(std::string_view text, std::string_view file);

}  // namespace tideline::app::copy
