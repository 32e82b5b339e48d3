// SPDX-License-Identifier: Apache-2.0
// The SIGSEGV and SIGBUS handlers behind guarded_copy: a fault inside a copy routine continues at
// its landing, every other one goes to the program as if tideline were not there.
//
// The state is the process's, as signal handlers are: installed once, at the first registration
// of memory, by whichever thread; never removed. sigaction(2), POSIX.1 2.4.3.
#pragma once

#include <signal.h>

#include "base/error.h"

namespace tideline {

// Puts the handlers on top of what the program has. Idempotent.
Status install_fault_handlers();

// What an interposed sigaction() does with SIGSEGV and SIGBUS once the handlers are installed: the
// program's action becomes the next in the chain, and it is told its former action. Returns as
// sigaction(2). Async-signal-safe.
int program_sigaction(int signal, const struct sigaction* action, struct sigaction* former);

// Whether both handlers are still the kernel's: a program that replaced one past the interposition
// (a raw system call) has unguarded copies. Two system calls.
bool fault_handlers_in_place();

// A fault while its signal is blocked kills the process: threads that copy keep both unblocked.
void unblock_fault_signals();

}  // namespace tideline
