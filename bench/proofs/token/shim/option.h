// SPDX-License-Identifier: Apache-2.0
// setsockopt, getsockopt, ioctl and fcntl(F_SETFL) on connection tokens. Negative errno on failure.
#pragma once

#include <sys/socket.h>

namespace proofs::token {

class Stream;

int set_option(Stream& stream, int level, int name, const void* value, socklen_t size);
int get_option(Stream& stream, int level, int name, void* value, socklen_t* size);
int control_stream(Stream& stream, unsigned long request, void* argument);

}  // namespace proofs::token
