// SPDX-License-Identifier: Apache-2.0
// Streams of the C library's on sockets of ours. The library reads and writes descriptors through
// calls of its own, which nobody can intercept; so fdopen() on a socket makes a stream whose calls
// are given (fopencookie). Thread: any.
#pragma once

#include <stdio.h>

#include "shim/sockets/file.h"

namespace tideline::shim::sockets {

// As fdopen(), of a socket in the table. Null, and errno.
FILE* open_stream(int fd, const char* mode);
// The number of such a stream; -1: it is none.
int number_of(FILE* stream);
// 0, 1 and 2 have become something else: stdin, stdout and stderr are streams on sockets where
// these are ours.
void renew_standard_stream(int fd);
// What they hold is sent, before sockets are closed at exit.
void flush_streams();

}  // namespace tideline::shim::sockets
