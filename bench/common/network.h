// SPDX-License-Identifier: Apache-2.0
// A network of the benchmark's own: nothing it sends can leave, and nothing outside can reach it.
#pragma once

#include "base/error.h"

namespace bench {

// Moves the calling process, and what it starts from now on, into a new network namespace that has
// only a loopback interface, and brings that up. Call it before starting threads. Needs
// CAP_SYS_ADMIN.
tideline::Status enter_private_network();

}  // namespace bench
