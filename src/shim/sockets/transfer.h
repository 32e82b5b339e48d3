// SPDX-License-Identifier: Apache-2.0
// Sending and receiving on our sockets, blocking or not, as the flags and the file say. Results are
// those of the system calls, failures as negative errno, kPass (calls.h): the kernel's. Thread:
// any.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <span>

#include "shim/sockets/calls.h"

namespace tideline::shim::sockets {

// `message`: brings ancillary data.
ssize_t send_parts(int fd, File& file, std::span<const iovec> from, int flags,
                   const sockaddr* address, socklen_t address_size,
                   const msghdr* message = nullptr);
// `message`: gets flags and, where there is room, ancillary data.
ssize_t receive_parts(int fd, File& file, std::span<const iovec> into, int flags, sockaddr* address,
                      socklen_t* address_size, msghdr* message);
ssize_t send_message(int fd, File& file, const msghdr& message, int flags);
ssize_t receive_message(int fd, File& file, msghdr& message, int flags);
ssize_t send_file(int fd, File& file, int from, off_t* offset, std::size_t size);

}  // namespace tideline::shim::sockets
