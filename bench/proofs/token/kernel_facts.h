// SPDX-License-Identifier: Apache-2.0
// What the kernel does with socketpairs used as tokens: properties that the design rests on, and
// the price of the two ways to wake a waiter. No shim is involved. One thread.
#pragma once

#include "common/report.h"

namespace proofs::token {

void report_kernel_facts(bench::Report& report);

}  // namespace proofs::token
