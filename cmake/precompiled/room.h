// SPDX-License-Identifier: Apache-2.0
// Precompiled for every room, for speed alone: a source includes what it uses, as if this were not
// there (configure with -DTIDELINE_PRECOMPILE=OFF to see). Nothing of the project's own belongs
// here.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
