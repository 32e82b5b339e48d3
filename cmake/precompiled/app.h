// SPDX-License-Identifier: Apache-2.0
// Precompiled for the command line: as room.h. Not CLI11, whose global objects cost every source
// seconds.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "room.h"
