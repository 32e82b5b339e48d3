// SPDX-License-Identifier: Apache-2.0
// splice(2) between a socket of ours and a pipe. The bytes are copied, which no program can see;
// what does not go through stays where it was. Results are those of the system call, failures as
// negative errno, kPass (calls.h): the kernel's. Thread: any.
#pragma once

#include <sys/types.h>

#include "shim/sockets/file.h"

namespace tideline::shim::sockets {

ssize_t splice_out_of(int fd, File& file, int pipe, std::size_t size, unsigned flags);
ssize_t splice_into(int fd, File& file, int pipe, std::size_t size, unsigned flags);

}  // namespace tideline::shim::sockets
