// SPDX-License-Identifier: Apache-2.0
// proof_token: can a socketpair end stand for a connection that the kernel does not carry, in
// unmodified programs, and what does each call cost? See docs/adr/0005-socket-token.md.
#include <fmt/core.h>

#include "common/cli.h"
#include "common/network.h"
#include "common/report.h"
#include "proofs/token/kernel_facts.h"
#include "proofs/token/lab.h"
#include "proofs/token/programs.h"

int main(int argc, char** argv) {
  const bench::Options options = bench::parse_options(
      argc, argv, "the socket token: unmodified programs on byte FIFOs in shared memory");
  if (auto status = bench::enter_private_network(); !status) {
    fmt::print(stderr, "{}\n", status.error().message());
    return 3;
  }
  bench::Report report("token",
                       "a kernel descriptor for a connection that the kernel does not carry");
  report.note("programs run unpinned on all cores; nobody spins");
  proofs::token::report_kernel_facts(report);
  {
    const proofs::token::Lab lab(proofs::token::kPorts);
    const int descriptors = lab.broker_descriptors();
    proofs::token::run_probe(report, lab, options.quick);
    proofs::token::check_python(report, lab, options.quick);
    proofs::token::run_redis(report, lab, options.quick);
    proofs::token::run_nginx(report, lab, options.quick);
    bool rest = false;
    int after = 0;
    for (int look = 0; look < 100 && !rest;
         ++look) {  // the last question's socket is closed a bit later
      rest = lab.at_rest() && (after = lab.broker_descriptors()) <= descriptors;
    }
    report.check("the broker's descriptors are back to where they were", rest,
                 std::to_string(descriptors) + " before, " + std::to_string(after) + " after");
  }
  return report.finish(options.json);
}
