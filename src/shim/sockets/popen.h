// SPDX-License-Identifier: Apache-2.0
// popen() and system() whose shell gets sockets of ours: as the C library's, over spawn.h. They are
// used if there is such a socket. Thread: any.
#pragma once

namespace tideline::shim::sockets {

void popen_after_fork_in_child();

}  // namespace tideline::shim::sockets
