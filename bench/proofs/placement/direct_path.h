// SPDX-License-Identifier: Apache-2.0
// Direct placement: the initiator itself reads and writes a target's regions, while the target does
// nothing. Memory in a memfd is reached through a shared mapping, other memory by
// process_vm_writev/readv, where the kernel permits them (ptrace(2), PTRACE_MODE_ATTACH_REALCREDS).
// Thread: the initiating thread that owns the InFlight page.
#pragma once

#include <sys/types.h>

#include <vector>

#include "base/mapping.h"
#include "proofs/placement/region_table.h"

namespace proofs::placement {

// Whether the last byte of a process_vm_writev is a vector element of its own. The kernel copies
// an element's part of a page by one string instruction, whose stores have no order.
enum class LastByte : std::uint8_t { kAlone, kWithTheRest };

// Writes to or reads from another process's memory; `pid` is known to be the target.
Outcome write_process_vm(pid_t pid, std::uint64_t address, const void* source, std::size_t size,
                         LastByte last_byte);
Outcome read_process_vm(pid_t pid, std::uint64_t address, void* destination, std::size_t size);

class DirectPath {
 public:
  // `in_flight` is this thread's page, in memory that the target can see; it must outlive this.
  // `memories` are the target's memfds, as mapped here.
  DirectPath(RegionTableView table, std::vector<tideline::Mapping> memories, pid_t pid,
             InFlight* in_flight)
      : table_(std::move(table)),
        memories_(std::move(memories)),
        pid_(pid),
        in_flight_(in_flight) {}

  // Asks the kernel, once per peer, whether process_vm_* work, by reading the table's nonce: so it
  // also proves that `pid` is the target's (process ids differ between namespaces).
  bool probe();

  // The bytes of a write become visible in such an order that the last one is last.
  Outcome write(const Request& request, const void* source);
  Outcome read(const Request& request, void* destination);

  const RegionTableView& table() const { return table_; }
  const std::vector<tideline::Mapping>& memories() const { return memories_; }
  pid_t pid() const { return pid_; }
  const OutcomeCounts& counts() const { return counts_; }

 private:
  enum class Way : std::uint8_t { kSharedMapping, kProcessVm };
  struct Place {
    Outcome outcome;
    Way way;
    std::byte* mapped;  // by kSharedMapping
  };
  Place begin(const Request& request);
  Outcome end(Outcome outcome);

  RegionTableView table_;
  std::vector<tideline::Mapping> memories_;
  pid_t pid_;
  InFlight* in_flight_;
  bool process_vm_works_ = false;
  OutcomeCounts counts_{};
};

}  // namespace proofs::placement
