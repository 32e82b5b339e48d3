// SPDX-License-Identifier: Apache-2.0
// Manual pages, in the macros of man(7): groff, mandoc.
#pragma once

#include <string>

#include "help/description.h"

namespace tideline::app::help {

// tideline(1).
std::string man_page(const Description& all);
// tideline-COMMAND(1).
std::string man_page(const Description& all, const CommandText& command);

}  // namespace tideline::app::help
