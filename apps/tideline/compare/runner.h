// SPDX-License-Identifier: Apache-2.0
// Makes one run: a placement, a server, a client, and what both did and cost.
#pragma once

#include <string>

#include "compare/machine_load.h"
#include "compare/placement.h"
#include "compare/run.h"
#include "compare/workload.h"

namespace tideline::app::compare {

class Runner {
 public:
  // Makes files in `folder`, which is its own.
  Runner(const MachineLoad& load, std::string folder);

  // Writes the workload's files; once for all its runs. Throws a Failure.
  void prepare(const Workload& workload) const;
  // With `count_syscalls`, the rest of what it says is slower than otherwise.
  Run run(Placement& placement, const Workload& workload, unsigned seconds, bool count_syscalls);

 private:
  std::string folder_of(const Workload& workload) const { return folder_ + "/" + workload.name; }
  Placeholders placeholders(const Workload& workload, unsigned seconds) const;
  Run measure(Placement& placement, const Workload& workload, unsigned seconds,
              bool count_syscalls) const;

  const MachineLoad& load_;
  std::string folder_;
  Cores cores_;
};

}  // namespace tideline::app::compare
