// SPDX-License-Identifier: Apache-2.0
// How far a comparison is, on standard error: a bar on a terminal, otherwise a line per step.
#pragma once

#include <cstddef>
#include <string>

#include "base/time.h"

namespace tideline::app::compare {

class Progress {
 public:
  explicit Progress(std::size_t steps);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // The next step begins.
  void step(const std::string& what);

 private:
  std::size_t steps_;
  std::size_t done_ = 0;
  bool terminal_;
  Instant begin_;
};

}  // namespace tideline::app::compare
