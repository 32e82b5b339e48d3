// SPDX-License-Identifier: Apache-2.0
// How a kernel socket becomes a token: bind remembers, listen and connect put a token on the same
// number, accept takes one out of a listener's queue. Results are those of the system calls, with
// negative errno. Any thread.
#pragma once

#include <sys/socket.h>

namespace proofs::token {

// Whether `fd` is a TCP socket of the kernel's that may still become a token.
bool undecided(int fd);

int bind_ours(int fd, const sockaddr* address);
int listen_ours(int fd);
int connect_ours(int fd, const sockaddr* address);
int accept_ours(int fd, sockaddr* address, socklen_t* size, int flags);

}  // namespace proofs::token
