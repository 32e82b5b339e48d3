// SPDX-License-Identifier: Apache-2.0
// A small world of the benchmark's own: a network that nothing can leave or enter, and processes
// that end with it, whatever happens to whoever started it.
#pragma once

#include <functional>

#include "base/error.h"

namespace bench {

// Runs `body` in a child, in new network, PID and mount namespaces that have only a loopback
// interface (up) and a /proc of their own, and returns the exit status: the body's, or 128 + N if
// signal N ended it. However the caller ends, the kernel kills all that runs inside, daemons too.
// SIGTERM, SIGINT, SIGHUP and SIGQUIT to the caller end the inside, too, and return 128 + N, so
// that the caller can tidy up. Once per process, before starting threads. Needs CAP_SYS_ADMIN.
tideline::Result<int> run_contained(const std::function<int()>& body);

}  // namespace bench
