// SPDX-License-Identifier: Apache-2.0
// What the whole machine does while programs are measured: whether others disturb them, and what
// the kernel does for the network outside of any process.
#pragma once

#include <filesystem>
#include <vector>

#include "base/fd.h"
#include "base/time.h"

namespace tideline::app::compare {

struct LoadSample {
  Instant at;
  double busy_s = 0;      // of all cores
  double softirqd_s = 0;  // of the kernel's threads for it
};

class MachineLoad {
 public:
  // Before the processes get a /proc of their own, which hides the kernel's threads.
  MachineLoad();
  LoadSample sample() const;
  unsigned cores() const { return cores_; }

 private:
  UniqueFd proc_;
  std::vector<int> softirqd_;
  unsigned cores_ = 1;
};

}  // namespace tideline::app::compare
