// SPDX-License-Identifier: Apache-2.0
// Proof 3: an engine inside an unmodified program, run inline by the program's calls and by a
// helper when there are none. See docs/adr/0003-engine-inside-the-program.md.
#include <filesystem>

#include "common/cli.h"
#include "common/report.h"
#include "proofs/inline_engine/behaviours.h"
#include "proofs/inline_engine/figures.h"

int main(int argc, char** argv) {
  const bench::Options options = bench::parse_options(
      argc, argv, "The engine inside the program: cost of an inline poll, delay of the helper.");
  const std::filesystem::path bin = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const proofs::inline_engine::Binaries binaries{
      .preload = bin.parent_path() / "lib/libproof_inline_engine_preload.so",
      .victim = bin / "proof_inline_engine_victim"};
  bench::Report report("inline_engine", "can the engine live inside an unmodified program?");
  // The figures first, while this process is young: forks copy what it has.
  proofs::inline_engine::measure_costs(options, report);
  proofs::inline_engine::measure_delays(options, report);
  proofs::inline_engine::check_behaviours(options, binaries, report);
  proofs::inline_engine::check_ends(options, binaries, report);
  proofs::inline_engine::check_installed_programs(binaries, report);
  return report.finish(options.json);
}
