// SPDX-License-Identifier: Apache-2.0
// setsockopt, getsockopt, ioctl and fcntl on sockets of the table. The kernel half takes every
// option too: it checks values, and remembers them. Failures as negative errno. Thread: any.
#pragma once

#include <sys/socket.h>

#include "shim/sockets/file.h"

namespace tideline::shim::sockets {

int set_option(int fd, File& file, int level, int name, const void* value, socklen_t size);
int get_option(int fd, File& file, int level, int name, void* value, socklen_t* size);
// Of a file that is new here: what its kernel half has been told before.
void recall_options(int fd, File& file);
int control_socket(int fd, File& file, unsigned long request, void* argument);
// F_GETFL and F_SETFL.
int file_flags(int fd, const File& file);
int set_file_flags(int fd, File& file, int flags);

}  // namespace tideline::shim::sockets
