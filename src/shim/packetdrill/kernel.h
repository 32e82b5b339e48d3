// SPDX-License-Identifier: Apache-2.0
// The kernel's calls, and their stand-ins that sleep in the clock's time. The shim of sockets waits
// through a table (shim/sockets/libc.h); here it gets another. Thread: any.
#pragma once

#include "shim/sockets/libc.h"

namespace tideline::shim::packetdrill {

// The C library's own.
const sockets::Libc& kernel();

// From now on the shim's waits are the timekeeper's.
void sleep_in_virtual_time();
void sleep_in_real_time();

}  // namespace tideline::shim::packetdrill
