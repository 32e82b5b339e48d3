// SPDX-License-Identifier: Apache-2.0
// Everything that can go wrong with one-sided placement, made to happen: each function runs one
// kind of misfortune `rounds` times and says whether what must hold did. The proof runs many
// rounds, the tests few. One thread, before any other is started: they fork.
#pragma once

#include <cstdint>
#include <string>

namespace proofs::placement {

struct Finding {
  bool holds = false;
  std::string detail;
};

// Wrong key, domain, access and bounds are refused by name, on every path; right ones are not.
Finding check_permissions();
// Regions whose memory is unmapped, protected or truncated: an error to the initiator, on every
// path, and the target lives on.
Finding check_bad_target_memory();
// The same of the initiator's buffer.
Finding check_bad_source_memory();
// Another thread unmaps, protects and truncates what copies are reading and writing.
Finding check_memory_churn(std::uint64_t rounds, std::uint64_t seed);
// SIGKILL, or exec, while placements are under way: the initiator sees "target gone".
Finding check_dying_target(std::uint64_t rounds, std::uint64_t seed);
// After a region is deregistered nothing is written to it any more, however the race went.
Finding check_deregistration(std::uint64_t rounds);
// Random writes and reads at random places arrive as they were sent, on every path.
Finding check_integrity(std::uint64_t rounds, std::uint64_t seed);
// A target that is not dumpable, or another user's: the probe says so, and frames carry on. Needs
// root, to become other users.
Finding check_kernel_permission();

}  // namespace proofs::placement
