// SPDX-License-Identifier: Apache-2.0
// What the libraries in unmodified programs (libraries.h) take from the environment.
#pragma once

#include "options.h"

namespace tideline::app {

// Says of the wire what the user has said: shim/verbs/engine.h has the variables.
void set_wire_variables(const WireOptions& wire);

}  // namespace tideline::app
