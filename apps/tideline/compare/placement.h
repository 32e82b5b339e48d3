// SPDX-License-Identifier: Apache-2.0
// A placement: where the network stack of two programs runs, and what is between them. Each is one
// file in compare/placements; placements.cc lists them.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "compare/child.h"

namespace tideline::app::compare {

// Where the server of every workload is, and its client.
inline constexpr const char* kServer = "192.0.2.1";
inline constexpr const char* kClient = "192.0.2.2";

// Of a run: client, server and daemons have a core each, as far as there are enough.
struct Cores {
  int client = -1;
  int server = -1;
  int daemon = -1;
  int second_daemon = -1;
};

struct About {
  const char* name;               // on the command line
  const char* title;              // in tables
  const char* text;               // one sentence
  const char* no_rdma = nullptr;  // why verbs do not work in it, if they do not
  bool quick = true;              // whether --quick has it, if nothing else is asked for
};

class Placement {
 public:
  virtual ~Placement() = default;
  Placement() = default;
  Placement(const Placement&) = delete;
  Placement& operator=(const Placement&) = delete;

  virtual const About& about() const = 0;
  // What this machine lacks for it; empty if nothing.
  virtual std::string lacks() const { return {}; }
  // Sets up what two programs need, for one run. Throws a Failure.
  virtual void begin(const Cores& cores) = 0;
  // Takes it away, also if begin() has failed.
  virtual void end() = 0;

  // What a program is started with.
  virtual Words server(const Words& program) const = 0;
  virtual Words client(const Words& program) const = 0;

  // Processes that work for both programs.
  virtual std::vector<pid_t> daemons() const { return {}; }
};

std::vector<std::unique_ptr<Placement>> all_placements();

// `tideline run OPTIONS... -- PROGRAM`.
Words tideline_run(const Words& options, const Words& program);
std::string own_program(const char* name);

}  // namespace tideline::app::compare
