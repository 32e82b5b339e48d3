// SPDX-License-Identifier: Apache-2.0
// Precompiled for the command line: as room.h.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "room.h"
