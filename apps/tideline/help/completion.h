// SPDX-License-Identifier: Apache-2.0
// Scripts by which shells complete the command line.
#pragma once

#include <string>

#include "help/description.h"

namespace tideline::app::help {

std::string bash_completion(const Description& all);
std::string zsh_completion(const Description& all);
std::string fish_completion(const Description& all);

}  // namespace tideline::app::help
