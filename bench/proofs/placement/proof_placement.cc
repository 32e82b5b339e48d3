// SPDX-License-Identifier: Apache-2.0
// Can a program write into another's memory while that one only spins on it, at the speed of a
// copy, and with nobody dying of bad memory? docs/adr/0004-one-sided-placement.md.
#include <fmt/core.h>
#include <unistd.h>

#include "common/cli.h"
#include "common/report.h"
#include "proofs/placement/figures.h"
#include "proofs/placement/hazards.h"

int main(int argc, char** argv) {
  namespace placement = proofs::placement;
  const bench::Options options = bench::parse_options(
      argc, argv, "one-sided writes between processes: shared mapping, process_vm_writev, frames");
  bench::Report report("placement", "one-sided writes into a process that only spins");
  const auto check = [&](const char* name, const placement::Finding& finding) {
    report.check(name, finding.holds, finding.detail);
  };
  const std::uint64_t scale = options.quick ? 1 : 10;
  check("what is not granted is refused", placement::check_permissions());
  check("bad memory of the target", placement::check_bad_target_memory());
  check("bad memory of the initiator", placement::check_bad_source_memory());
  check("memory changes under copies", placement::check_memory_churn(5000 * scale, options.seed));
  check("the target is killed or calls exec",
        placement::check_dying_target(100 * scale, options.seed));
  check("nothing is written after deregistration", placement::check_deregistration(3000 * scale));
  check("what is written arrives", placement::check_integrity(2000 * scale, options.seed));
  if (::geteuid() == 0) {
    check("the kernel forbids direct placement", placement::check_kernel_permission());
  } else {
    report.note("not tried: the kernel forbids direct placement, for that needs root");
  }

  placement::measure_copies(report, options.quick);
  placement::measure_order(report, options.quick);
  placement::measure_paths(report, options.quick);
  placement::measure_helper(report, options.quick);
  report.note(fmt::format("seed {}", options.seed));
  return report.finish(options.json);
}
