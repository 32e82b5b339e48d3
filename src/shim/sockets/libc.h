// SPDX-License-Identifier: Apache-2.0
// The functions behind the intercepted names: where a call on a descriptor of the kernel's goes.
// Through the C library, so that cancellation points stay what they are. Thread: any.
#pragma once

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

namespace tideline::shim::sockets {

struct Libc {
  int (*socket)(int, int, int);
  int (*bind)(int, const sockaddr*, socklen_t);
  int (*listen)(int, int);
  int (*accept4)(int, sockaddr*, socklen_t*, int);
  int (*connect)(int, const sockaddr*, socklen_t);
  int (*getsockname)(int, sockaddr*, socklen_t*);
  int (*getpeername)(int, sockaddr*, socklen_t*);
  int (*shutdown)(int, int);
  int (*setsockopt)(int, int, int, const void*, socklen_t);
  int (*getsockopt)(int, int, int, void*, socklen_t*);
  int (*close)(int);
  int (*close_range)(unsigned, unsigned, int);
  int (*dup)(int);
  int (*dup2)(int, int);
  int (*dup3)(int, int, int);
  int (*fcntl)(int, int, ...);
  int (*ioctl)(int, unsigned long, ...);
  ssize_t (*read)(int, void*, std::size_t);
  ssize_t (*write)(int, const void*, std::size_t);
  ssize_t (*readv)(int, const iovec*, int);
  ssize_t (*writev)(int, const iovec*, int);
  ssize_t (*recv)(int, void*, std::size_t, int);
  ssize_t (*send)(int, const void*, std::size_t, int);
  ssize_t (*recvfrom)(int, void*, std::size_t, int, sockaddr*, socklen_t*);
  ssize_t (*sendto)(int, const void*, std::size_t, int, const sockaddr*, socklen_t);
  ssize_t (*recvmsg)(int, msghdr*, int);
  ssize_t (*sendmsg)(int, const msghdr*, int);
  int (*recvmmsg)(int, mmsghdr*, unsigned, int, timespec*);
  int (*sendmmsg)(int, mmsghdr*, unsigned, int);
  FILE* (*fdopen)(int, const char*);
  int (*fileno)(FILE*);
  int (*vdprintf)(int, const char*, va_list);
  ssize_t (*sendfile)(int, int, off_t*, std::size_t);
  ssize_t (*splice)(int, off64_t*, int, off64_t*, std::size_t, unsigned);
  ssize_t (*preadv2)(int, const iovec*, int, off_t, int);
  ssize_t (*pwritev2)(int, const iovec*, int, off_t, int);
  int (*execve)(const char*, char* const*, char* const*);
  int (*execvpe)(const char*, char* const*, char* const*);
  int (*fexecve)(int, char* const*, char* const*);
  int (*posix_spawn)(pid_t*, const char*, const posix_spawn_file_actions_t*,
                     const posix_spawnattr_t*, char* const*, char* const*);
  int (*posix_spawnp)(pid_t*, const char*, const posix_spawn_file_actions_t*,
                      const posix_spawnattr_t*, char* const*, char* const*);
  int (*posix_spawn_file_actions_init)(posix_spawn_file_actions_t*);
  int (*posix_spawn_file_actions_destroy)(posix_spawn_file_actions_t*);
  int (*posix_spawn_file_actions_addclose)(posix_spawn_file_actions_t*, int);
  int (*posix_spawn_file_actions_adddup2)(posix_spawn_file_actions_t*, int, int);
  int (*posix_spawn_file_actions_addopen)(posix_spawn_file_actions_t*, int, const char*, int,
                                          mode_t);
  int (*posix_spawn_file_actions_addchdir_np)(posix_spawn_file_actions_t*, const char*);
  int (*posix_spawn_file_actions_addfchdir_np)(posix_spawn_file_actions_t*, int);
  int (*posix_spawn_file_actions_addclosefrom_np)(posix_spawn_file_actions_t*, int);
  int (*posix_spawn_file_actions_addtcsetpgrp_np)(posix_spawn_file_actions_t*, int);
  FILE* (*popen)(const char*, const char*);
  int (*pclose)(FILE*);
  int (*system)(const char*);
  int (*sigaction)(int, const struct sigaction*, struct sigaction*);
  int (*poll)(pollfd*, nfds_t, int);
  int (*ppoll)(pollfd*, nfds_t, const timespec*, const sigset_t*);
  int (*select)(int, fd_set*, fd_set*, fd_set*, timeval*);
  int (*pselect)(int, fd_set*, fd_set*, fd_set*, const timespec*, const sigset_t*);
  int (*epoll_ctl)(int, int, int, epoll_event*);
  int (*epoll_wait)(int, epoll_event*, int, int);
  int (*epoll_pwait)(int, epoll_event*, int, int, const sigset_t*);
  int (*epoll_pwait2)(int, epoll_event*, int, const timespec*, const sigset_t*);
};

// Filled when the library is loaded, or at the first call if one comes before.
const Libc& find_libc();
inline constinit const Libc* libc_functions = nullptr;
inline const Libc& libc() { return libc_functions != nullptr ? *libc_functions : find_libc(); }

}  // namespace tideline::shim::sockets
