// SPDX-License-Identifier: Apache-2.0
// setsockopt of TCP-AO (RFC 5925), as Linux has it since 6.7: TCP_AO_ADD_KEY, TCP_AO_DEL_KEY,
// TCP_AO_INFO. Thread: any.
#pragma once

#include <sys/socket.h>

#include "shim/sockets/file.h"

namespace tideline::shim::sockets {

bool is_key_option(int level, int name);
// 0 or a negative errno. A kernel that does not know the option is not asked to connect, or to
// listen, without the key.
int set_key_option(int fd, File& file, int name, const void* value, socklen_t size);

}  // namespace tideline::shim::sockets
