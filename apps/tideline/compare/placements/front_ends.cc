// SPDX-License-Identifier: Apache-2.0
#include "compare/placements/front_ends.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/clock.h"
#include "session.h"

namespace tideline::app::compare {

void FrontEnds::start(const char* name, const Words& options, int core) {
  Words words{own_program("tidelined"), "--name", name};
  words.insert(words.end(), options.begin(), options.end());
  daemons_.push_back(std::make_unique<Child>(words, core));
  Child& daemon = *daemons_.back();
  const Instant limit = monotonic_now() + std::chrono::seconds(20);
  while ((daemon.said() + daemon.errors()).find("ready") == std::string::npos) {
    if (daemon.has_ended() || monotonic_now() > limit) {
      throw Failure({.kind = ErrorKind::kEnvironment,
                     .what = fmt::format("tidelined does not start: {}", daemon.errors())});
    }
    ::usleep(2000);
  }
}

void FrontEnds::end() {
  const Instant limit = monotonic_now() + std::chrono::seconds(10);
  for (const auto& daemon : daemons_) daemon->end(limit);
  daemons_.clear();
}

std::vector<pid_t> FrontEnds::pids() const {
  std::vector<pid_t> all;
  all.reserve(daemons_.size());
  for (const auto& daemon : daemons_) all.push_back(daemon->pid());
  return all;
}

Words at_front_end(const char* name, const Words& program) {
  return tideline_run({"--placement", "frontend", "--name", name}, program);
}

}  // namespace tideline::app::compare
