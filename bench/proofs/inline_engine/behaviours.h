// SPDX-License-Identifier: Apache-2.0
// The proof's programs: each runs with the preload library while frames come in, and must keep its
// own meaning while the engine inside keeps serving.
#pragma once

#include <string>

#include "common/cli.h"
#include "common/report.h"

namespace proofs::inline_engine {

// Where the preload library and the program under test lie.
struct Binaries {
  std::string preload;
  std::string victim;
};

void check_behaviours(const bench::Options& options, const Binaries& binaries,
                      bench::Report& report);
// Programs that die in every way: when the peer notices, and what stays behind.
void check_ends(const bench::Options& options, const Binaries& binaries, bench::Report& report);
// A shell and an interpreter, as they are installed.
void check_installed_programs(const Binaries& binaries, bench::Report& report);

}  // namespace proofs::inline_engine
