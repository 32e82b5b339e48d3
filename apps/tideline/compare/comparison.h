// SPDX-License-Identifier: Apache-2.0
// What all runs together say: a cell for each workload in each placement. No I/O.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compare/placement.h"
#include "compare/run.h"
#include "compare/statistics.h"
#include "compare/workload.h"

namespace tideline::app::compare {

// Processor time for a unit of work: seconds for a GB (10^9 bytes) or for a million requests, which
// is microseconds for one. `softirqd` is what the kernel did for the network outside of processes.
struct Cost {
  double programs_user = 0;
  double programs_system = 0;
  double engine_user = 0;
  double engine_system = 0;
  double softirqd = 0;

  double programs() const { return programs_user; }
  double engine() const { return engine_user; }
  double kernel() const { return programs_system + engine_system + softirqd; }
  double total() const { return programs() + engine() + kernel(); }
};

struct Cell {
  std::string left_out;  // why it was not tried; empty if it was
  std::string failure;   // why no run of it worked
  std::size_t runs = 0;
  Spread value;
  // To the workload's first cell that worked, which has none.
  std::optional<Spread> ratio;
  Verdict verdict = Verdict::kCannotTell;
  Cost cost;
  std::vector<Quantile> quantiles;  // medians
  double wake_ups_per_unit = 0;     // of a kB, or of a request
  std::optional<double> passes_per_byte;
  std::optional<double> syscalls_per_unit;
  std::optional<double> lost_share;

  bool works() const { return runs > 0; }
};

struct Machine {
  std::string cpu;
  unsigned cores = 1;
  std::string kernel;
};
Machine this_machine();

struct Comparison {
  Machine machine;
  bool quick = false;
  unsigned seconds = 1;
  std::size_t rounds = 1;
  double took_s = 0;
  std::string no_syscalls;  // why they were not counted
  std::vector<const About*> placements;
  std::vector<Workload> workloads;
  std::vector<std::vector<Cell>> cells;  // by workload, then by placement
  double others_share = 0;               // median of all runs

  bool is_noisy() const;
  // What to think of the figures, in sentences.
  std::string judgement() const;
  // Whether all that was tried worked.
  bool ok() const;
};

// All runs of one workload, by round and placement; a run is missing where there was none.
using Rounds = std::vector<std::vector<std::optional<Run>>>;
// `counted` are those with system calls, by placement. `left_out` likewise.
std::vector<Cell> make_cells(const Workload& workload, const Rounds& rounds,
                             const std::vector<std::optional<Run>>& counted,
                             const std::vector<std::string>& left_out);

// "12.3 Gb/s", "45.6 k/s", "7.8 us".
std::string figure_text(Figure figure, double value);
std::string time_text(double ns);

}  // namespace tideline::app::compare
