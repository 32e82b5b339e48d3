// SPDX-License-Identifier: Apache-2.0
// The options of TCP-AO (RFC 5925), as Linux has them since 6.7: TCP_AO_ADD_KEY, TCP_AO_DEL_KEY and
// TCP_AO_INFO of setsockopt, TCP_AO_INFO and TCP_AO_GET_KEYS of getsockopt. Thread: any.
#pragma once

#include <sys/socket.h>

#include "shim/sockets/file.h"

namespace tideline::shim::sockets {

bool is_key_option(int level, int name);
// 0 or a negative errno. A kernel that does not know the option is not asked to connect, or to
// listen, without the key.
int set_key_option(int fd, File& file, int name, const void* value, socklen_t size);

bool is_key_question(int level, int name);
// Of a stream for which a socket of ours is open: 0 or a negative errno.
int get_key_option(File& file, int name, void* value, socklen_t* size);

}  // namespace tideline::shim::sockets
