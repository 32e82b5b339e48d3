// SPDX-License-Identifier: Apache-2.0
// A line on the terminal that changes every second while a run is under way. Silent if standard
// error is no terminal. One thread.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace tideline::app::blast {

class Progress {
 public:
  Progress();

  // The totals so far.
  void show(std::uint64_t datagrams, std::uint64_t bytes, Instant now);
  // When show() has something to do again.
  Instant due() const { return due_; }
  // Leaves the terminal as it was.
  void clear();

 private:
  bool terminal_;
  Instant due_;
  Instant last_{};
  std::uint64_t datagrams_ = 0;
  std::uint64_t bytes_ = 0;
  bool shown_ = false;
};

}  // namespace tideline::app::blast
