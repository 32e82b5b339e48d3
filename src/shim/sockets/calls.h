// SPDX-License-Identifier: Apache-2.0
// The life of a socket: which side it goes to, and the calls that decide it. Results are those of
// the system calls, failures as negative errno. `kPass`: the call is the kernel's. Thread: any.
#pragma once

#include <sys/socket.h>

#include <climits>

#include "shim/sockets/file.h"

namespace tideline::shim::sockets {

inline constexpr int kPass = INT_MIN;

using FileRef = Ref<File, Kind::kSocket>;

// Gives the file a socket of ours, unless it has one: its options reach it.
int open_ours(File& file);

// Takes note of a socket of the kernel's that was just made.
void note_socket(int fd, int domain, int type);
int bind_socket(int fd, File& file, const sockaddr* address, socklen_t size);
int listen_socket(int fd, File& file, int backlog);
int connect_socket(int fd, File& file, const sockaddr* address, socklen_t size);
// MSG_FASTOPEN: as connect_socket(), with the first data to go with the SYN if it can.
int connect_fast(int fd, File& file, const sockaddr* address, socklen_t size);
int accept_socket(int fd, File& file, sockaddr* address, socklen_t* size, int flags);
int shut_down_socket(int fd, File& file, int how);
int local_name(const File& file, sockaddr* address, socklen_t* size);
int remote_name(const File& file, sockaddr* address, socklen_t* size);

// Whose a destination is, by the host's routes; loopback is the kernel's unless the user says
// otherwise, and then becomes an address of the host.
enum class Way : std::uint8_t { kOurs, kKernel, kRefused };
Way way_to(client::Endpoint& destination);
// The same for a datagram; afterwards the file has what it takes. 0 or a negative errno or kPass.
int prepare_datagram(int fd, File& file, client::Endpoint& destination);

// A number was closed, or replaced; and made by dup.
void forget_number(int fd);
void share_number(int from, int to);

}  // namespace tideline::shim::sockets
