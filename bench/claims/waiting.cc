// SPDX-License-Identifier: Apache-2.0
// Interrupts, polling, and polling for a while (NAPI's idea, ring::SpinBudget), by load: two
// programs on a shared ring, a core each; one asks, waits for the answer, and sleeps for a time
// that decides how often.
#include <fmt/format.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <string>

#include "common/cli.h"
#include "common/report.h"
#include "proofs/waiting/rules.h"
#include "proofs/waiting/scenario.h"

namespace {

using namespace proofs::waiting;  // NOLINT(google-build-using-namespace): its scenarios

struct Way {
  const char* name;
  Length length;
  Signal signal;
};
constexpr std::array kWays{Way{"interrupts", Length::kNone, Signal::kNone},
                           Way{"polling", Length::kForever, Signal::kNone},
                           Way{"adaptive", Length::kProduct, Signal::kNone}};
constexpr std::array kPauses{0, 2, 10, 30, 100, 300, 1000, 3000, 10'000};  // microseconds

}  // namespace

int main(int argc, char** argv) {
  const bench::Options options =
      bench::parse_options(argc, argv, "Interrupts, polling and adaptive waiting, by load.");
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // children have it, too: a sleep is as long as it says
  bench::Report report("claims_waiting", "What does waiting cost, by load?");
  bench::Table table{.name = "waiting",
                     .columns = {"per_s", "p50_us", "p99_us", "cpu_us_each", "cores_used"},
                     .rows = {}};
  for (const int pause : kPauses) {
    for (const Way& way : kWays) {
      const Rule rule{way.name, way.length, way.signal};
      const auto measured = run({.cores = {0, 1, -1},
                                 .pattern = pause == 0 ? Pattern::kPingPong : Pattern::kPaced,
                                 .pause = std::chrono::microseconds(pause),
                                 .rules = {rule, rule, rule}},
                                std::chrono::milliseconds(options.quick ? 100 : 400));
      if (!measured) {
        fmt::print(stderr, "{}\n", measured.error().message());
        return 3;
      }
      report.check(fmt::format("{}, pause {} us", way.name, pause), measured->complete,
                   "all answers in order");
      table.rows.push_back({{way.name, fmt::format("{} us", pause)},
                            {measured->per_s, measured->p50_ns / 1e3, measured->p99_ns / 1e3,
                             measured->cpu_us, measured->cpu_us * measured->per_s / 1e6}});
    }
  }
  report.table(std::move(table));
  return report.finish(options.json);
}
