// SPDX-License-Identifier: Apache-2.0
// What two copies cost at least between two cores here and now, as JSON: what `bench/tcp/run` holds
// its bulk figures against.
#include <fmt/core.h>

#include <chrono>

#include "common/limits.h"

int main() {
  constexpr std::size_t kFrame = 65536;
  fmt::print("{{\"two_copy_pipe_gbps\": {:.1f}}}\n",
             bench::two_copy_pipe_rate(kFrame, std::chrono::milliseconds(500)));
}
