// SPDX-License-Identifier: Apache-2.0
// The table of functions by which packetdrill drives a stack in a library of its own
// (--so_filename), declared from its contract. packetdrill looks for packetdrill_interface_init and
// has the table filled once, before its script begins.
//
// Calls on sockets give the results of POSIX, and errno. `netdev_send` has been worked off when it
// returns; `netdev_receive` blocks until the stack sends a packet, and tells when it did, by the
// clock of `gettimeofday`: microseconds. Packets begin with their IP header.
//
// Thread: the script's, and one more for calls that the script expects to block.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

extern "C" {

// NOLINTBEGIN(readability-identifier-naming): names of the contract
struct packetdrill_interface {
  void* userdata;
  void (*free)(void*);
  int (*socket)(void*, int domain, int type, int protocol);
  int (*bind)(void*, int fd, const sockaddr*, socklen_t);
  int (*listen)(void*, int fd, int backlog);
  int (*accept)(void*, int fd, sockaddr*, socklen_t*);
  int (*connect)(void*, int fd, const sockaddr*, socklen_t);
  ssize_t (*read)(void*, int fd, void*, std::size_t);
  ssize_t (*readv)(void*, int fd, const iovec*, int);
  ssize_t (*recv)(void*, int fd, void*, std::size_t, int flags);
  ssize_t (*recvfrom)(void*, int fd, void*, std::size_t, int flags, sockaddr*, socklen_t*);
  ssize_t (*recvmsg)(void*, int fd, msghdr*, int flags);
  ssize_t (*write)(void*, int fd, const void*, std::size_t);
  ssize_t (*writev)(void*, int fd, const iovec*, int);
  ssize_t (*send)(void*, int fd, const void*, std::size_t, int flags);
  ssize_t (*sendto)(void*, int fd, const void*, std::size_t, int flags, const sockaddr*, socklen_t);
  ssize_t (*sendmsg)(void*, int fd, const msghdr*, int flags);
  int (*fcntl)(void*, int fd, int command, ...);
  int (*ioctl)(void*, int fd, unsigned long request, ...);
  int (*close)(void*, int fd);
  int (*shutdown)(void*, int fd, int how);
  int (*getsockopt)(void*, int fd, int level, int name, void*, socklen_t*);
  int (*setsockopt)(void*, int fd, int level, int name, const void*, socklen_t);
  int (*poll)(void*, pollfd*, nfds_t, int timeout_ms);
  int (*netdev_send)(void*, const void*, std::size_t);
  int (*netdev_receive)(void*, void*, std::size_t*, long long* time_usecs);
  int (*usleep)(void*, useconds_t);
  int (*gettimeofday)(void*, timeval*, struct timezone*);
  int (*epoll_create)(void*, int size);
  int (*epoll_ctl)(void*, int epfd, int operation, int fd, epoll_event*);
  int (*epoll_wait)(void*, int epfd, epoll_event*, int count, int timeout_ms);
  int (*pipe)(void*, int fds[2]);
  int (*splice)(void*, int from, loff_t*, int to, loff_t*, std::size_t, unsigned flags);
};
// NOLINTEND(readability-identifier-naming)

// `flags`: --so_flags, as knobs.h has it. What is wrong with them ends the process.
void packetdrill_interface_init(const char* flags, packetdrill_interface* out);

}  // extern "C"
