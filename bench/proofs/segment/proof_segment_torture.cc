// SPDX-License-Identifier: Apache-2.0
// Proof: members of a segment that are killed, stopped or hostile harm nobody else.
#include "common/cli.h"
#include "common/report.h"
#include "proofs/segment/torture.h"

int main(int argc, char** argv) {
  const bench::Options options = bench::parse_options(
      argc, argv, "Proof: members of a segment that are killed, stopped or hostile harm nobody");
  bench::Report report("segment_torture", "Can a member of the segment harm the others?");
  const proofs::segment::TortureScale quick{
      .random_kills = 300, .steps = 300, .joins = 20, .hostile_rounds = 3};
  const proofs::segment::TortureScale full{
      .random_kills = 2000, .steps = 1500, .joins = 100, .hostile_rounds = 10};
  proofs::segment::torture(report, options.quick ? quick : full, options.seed);
  return report.finish(options.json);
}
