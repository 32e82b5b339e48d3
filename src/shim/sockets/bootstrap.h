// SPDX-License-Identifier: Apache-2.0
// Where this shim meets an engine: the only file of it that knows how one is made.
#pragma once

#include "base/error.h"
#include "client/sockets.h"

namespace tideline::shim::sockets {

// Starts the engine of this process, or finds the one that the verbs shim has started. The sockets
// outlive the program.
Result<client::Sockets*> join_engine();

// At exit, of an engine that was started here: its counters to standard error, and its capture.
void report_engine(bool counters);

}  // namespace tideline::shim::sockets
