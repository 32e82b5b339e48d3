// SPDX-License-Identifier: Apache-2.0
// Threads of ours in a process that is not: they take none of its signals.
#pragma once

#include <pthread.h>

#include <cstddef>

#include "base/error.h"

namespace tideline {

// Starts `main(object)` with all signals blocked: a thread inherits the mask of its creator, and
// one of ours must never run a handler of the program. `stack`: bytes. `what` is for the error:
// "the helper thread". The caller joins it.
Result<pthread_t> start_quiet_thread(void* (*main)(void*), void* object, std::size_t stack,
                                     const char* what);

}  // namespace tideline
