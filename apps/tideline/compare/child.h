// SPDX-License-Identifier: Apache-2.0
// A program that runs beside: what it says, and what it costs. Ended and reaped with its object.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/time.h"
#include "compare/run.h"

namespace tideline::app::compare {

using Words = std::vector<std::string>;

// Of a process that runs; nothing if it is gone.
std::optional<Usage> usage_of(pid_t pid);

class Child {
 public:
  // On one core, or, with -1, on those of this process. Standard output and error are kept apart.
  // Throws a Failure if it cannot be started.
  Child(const Words& command, int core);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child();

  pid_t pid() const { return pid_; }
  bool has_ended();
  // Until it has ended; kills it at the time. True if it has ended by itself, with exit status 0.
  bool wait_until(Instant end);
  // Asks it to end, and waits; kills it at the time.
  void end(Instant limit);

  // Of all its life, once it has ended; its children that it has waited for included.
  const Usage& usage() const { return usage_; }
  // Once it has ended: its exit status, its signal, or that it took too long.
  std::string how_it_ended() const;
  std::string said() const;    // on standard output
  std::string errors() const;  // on standard error

 private:
  bool try_reap();

  pid_t pid_ = -1;
  bool reaped_ = false;
  int status_ = 0;
  bool took_too_long_ = false;
  Usage usage_;
  UniqueFd output_;
  UniqueFd errors_;
};

// A short command, like `ip link add`; throws a Failure with what it says if it fails.
void run_command(const Words& command);
bool is_installed(const std::string& program);

}  // namespace tideline::app::compare
