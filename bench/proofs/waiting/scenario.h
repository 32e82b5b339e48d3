// SPDX-License-Identifier: Apache-2.0
// One combination of programs, cores, load and rules, run and measured.
//
//   app       A <-> B            two programs, the engine inside each
//   frontend  A <-> F <-> B      two programs through a third process
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "proofs/waiting/rules.h"

namespace proofs::waiting {

enum class Pattern {
  kPingPong,  // A sends, waits for the answer, sends again
  kPaced,     // the same, A asleep for `pause` between: long waits, where spinning burns a core for
              // nothing
  kCrowded,   // ping-pong while a computing process runs on each core
  kStream,    // A sends as fast as there is room, B receives
};

struct Scenario {
  bool frontend = false;
  // The core of A, B and F; -1: where the kernel puts it.
  std::array<int, 3> cores{-1, -1, -1};
  std::string placement;  // in words
  Pattern pattern = Pattern::kPingPong;
  tideline::Duration pause = std::chrono::microseconds(100);  // less than a second
  // The rule of A, B and F.
  std::array<Rule, 3> rules{};
  std::string rules_name;
};

struct Measured {
  double p50_ns = 0;  // round trip; 0 for kStream
  double p99_ns = 0;
  double p999_ns = 0;
  double per_s = 0;       // round trips, or messages of a stream
  double cpu_us = 0;      // processor time of all processes per message
  double sleeps = 0;      // per message, of all processes
  bool complete = false;  // every process ended as it should, every message arrived in order
};

std::string_view name_of(Pattern pattern);

// Every combination of topology, placement, pattern and rule set.
std::vector<Scenario> all_scenarios();

// Runs `scenario` for about `duration`, in processes of its own.
tideline::Result<Measured> run(const Scenario& scenario, tideline::Duration duration);

}  // namespace proofs::waiting
