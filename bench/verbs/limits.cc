// SPDX-License-Identifier: Apache-2.0
// What memcpy reaches on one core here and now, as JSON: what `bench/verbs/run` holds its figures
// against.
#include <fmt/core.h>

#include <chrono>

#include "common/limits.h"

int main() {
  constexpr std::size_t kMessage = 65536;
  constexpr std::size_t kHalfOfSet = std::size_t{2} << 20;
  constexpr auto kDuration = std::chrono::milliseconds(300);
  fmt::print("{{\"memcpy_in_cache_gbps\": {:.1f}, \"memcpy_4mib_gbps\": {:.1f}}}\n",
             bench::memcpy_rate(kMessage, kDuration), bench::memcpy_rate(kHalfOfSet, kDuration));
}
