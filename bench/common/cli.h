// SPDX-License-Identifier: Apache-2.0
// The command line that all proof and benchmark programs share.
#pragma once

#include <cstdint>
#include <string>

namespace bench {

struct Options {
  bool quick = false;  // seconds, not minutes: fewer repetitions, the same figures with more noise
  std::uint64_t seed = 1;  // of every random choice; printed
  std::string json;        // where the JSON object goes; empty: nowhere
};

// Parses `--quick --seed N --json FILE`. On `--help` or an error it prints and exits (0 or 2).
Options parse_options(int argc, char** argv, const std::string& description);

}  // namespace bench
