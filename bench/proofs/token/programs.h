// SPDX-License-Identifier: Apache-2.0
// Unmodified programs over tokens: that they work, and how fast beside the kernel's loopback. One
// thread.
#pragma once

#include "common/report.h"
#include "proofs/token/lab.h"

namespace proofs::token {

inline constexpr const char* kPorts = "6399,8099";

void check_python(bench::Report& report, const Lab& lab, bool quick);
void run_redis(bench::Report& report, const Lab& lab, bool quick);
void run_nginx(bench::Report& report, const Lab& lab, bool quick);
void run_probe(bench::Report& report, const Lab& lab, bool quick);

}  // namespace proofs::token
