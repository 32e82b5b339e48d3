// SPDX-License-Identifier: Apache-2.0
// proof_token: can a socketpair end stand for a connection that the kernel does not carry, in
// unmodified programs, and what does each call cost? See docs/adr/0005-socket-token.md.
#include <fmt/core.h>

#include <chrono>
#include <string>
#include <thread>

#include "common/cli.h"
#include "common/network.h"
#include "common/report.h"
#include "proofs/token/directory.h"
#include "proofs/token/kernel_facts.h"
#include "proofs/token/lab.h"
#include "proofs/token/programs.h"

namespace proofs::token {
namespace {

int prove(const bench::Options& options, const std::string& directory) {
  bench::Report report("token",
                       "a kernel descriptor for a connection that the kernel does not carry");
  report.note("programs run unpinned on all cores; nobody spins");
  report_kernel_facts(report);
  const Lab lab(directory, kPorts);
  const int descriptors = lab.broker_descriptors();
  run_probe(report, lab, options.quick);
  check_python(report, lab, options.quick);
  run_redis(report, lab, options.quick);
  run_nginx(report, lab, options.quick);
  bool rest = false;
  int after = 0;
  const bool quiet = lab.at_rest();
  // The last question's own socket is closed a bit later, when the broker gets a core for it.
  for (int look = 0; look < 500 && quiet && !rest; ++look) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    rest = (after = lab.broker_descriptors()) <= descriptors;
  }
  report.check("the broker's descriptors are back to where they were", rest,
               std::to_string(descriptors) + " before, " + std::to_string(after) + " after");
  return report.finish(options.json);
}

}  // namespace
}  // namespace proofs::token

int main(int argc, char** argv) {
  const bench::Options options = bench::parse_options(
      argc, argv, "the socket token: unmodified programs on byte FIFOs in shared memory");
  // Made and removed out here, where it is reached even if what runs inside is killed.
  const proofs::token::Directory directory;
  const auto status =
      bench::run_contained([&] { return proofs::token::prove(options, directory.path()); });
  if (!status) {
    fmt::print(stderr, "{}\n", status.error().message());
    return 3;
  }
  return *status;
}
