// SPDX-License-Identifier: Apache-2.0
// The daemons of a placement `frontend`, and how programs are started that use them.
#pragma once

#include <memory>
#include <vector>

#include "compare/child.h"
#include "compare/placement.h"

namespace tideline::app::compare {

class FrontEnds {
 public:
  // Returns once programs can use it. `options`: how tidelined is started, beyond its name. Throws
  // a Failure.
  void start(const char* name, const Words& options, int core);
  void end();
  std::vector<pid_t> pids() const;

 private:
  std::vector<std::unique_ptr<Child>> daemons_;
};

// `program`, as a user of the front end of this name.
Words at_front_end(const char* name, const Words& program);

}  // namespace tideline::app::compare
