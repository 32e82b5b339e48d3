// SPDX-License-Identifier: Apache-2.0
// A network, a /run and processes of one's own, all of which end with this process, however it
// ends. Needs root. Thread: the only one.
#pragma once

#include <functional>

#include "base/error.h"

namespace tideline::app::compare {

// Calls `body` as the first process of namespaces of its own (network, mounts, processes), and
// returns its exit status; 130 or so if a signal has ended it. In it /run is empty, loopback is up,
// and files elsewhere are as outside.
Result<int> run_contained(const std::function<int()>& body);

}  // namespace tideline::app::compare
