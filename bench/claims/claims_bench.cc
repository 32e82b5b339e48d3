// SPDX-License-Identifier: Apache-2.0
#include "claims.h"

#include <fmt/format.h>

#include "common/cli.h"

int main(int argc, char** argv) {
  const bench::Options options = bench::parse_options(
      argc, argv,
      "Fragments, pacing and distance, in virtual time: the figures of docs/claims.md.");
  bench::Report report("claims", "What do the documents claim, and does it hold?");
  report.note(fmt::format("virtual time; seed {}", options.seed));
  tideline::bench_claims::Run run{.report = report, .seed = options.seed, .quick = options.quick};
  tideline::bench_claims::fragments(run);
  tideline::bench_claims::pacing(run);
  tideline::bench_claims::distance(run);
  return report.finish(options.json);
}
