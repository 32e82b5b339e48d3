// SPDX-License-Identifier: Apache-2.0
// The answer to `{"ask":"status"}`: one JSON object. Any thread.
#pragma once

#include <optional>
#include <string>

#include "control/status.h"

namespace tideline::control {

// Of this process. Without a status: `busy`, the engine could not be looked at.
std::string to_json(const Identity& identity, const std::optional<EngineStatus>& status);

}  // namespace tideline::control
