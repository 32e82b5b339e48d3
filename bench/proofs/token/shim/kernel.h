// SPDX-License-Identifier: Apache-2.0
// The system calls that the shim makes for itself. Not through libc's names: those are intercepted,
// by this very library. Each returns what the kernel says, -1 with errno.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

namespace proofs::token::kernel {

inline int close(int fd) { return static_cast<int>(::syscall(SYS_close, fd)); }
inline ssize_t read(int fd, void* to, std::size_t size) {
  return ::syscall(SYS_read, fd, to, size);
}
inline ssize_t write(int fd, const void* from, std::size_t size) {
  return ::syscall(SYS_write, fd, from, size);
}
inline ssize_t recv(int fd, void* to, std::size_t size, int flags) {
  return ::syscall(SYS_recvfrom, fd, to, size, flags, nullptr, nullptr);
}
inline ssize_t send(int fd, const void* from, std::size_t size, int flags) {
  return ::syscall(SYS_sendto, fd, from, size, flags, nullptr, 0);
}
inline ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  return ::syscall(SYS_sendmsg, fd, message, flags);
}
inline ssize_t recvmsg(int fd, msghdr* message, int flags) {
  return ::syscall(SYS_recvmsg, fd, message, flags);
}
inline int socket(int domain, int type, int protocol) {
  return static_cast<int>(::syscall(SYS_socket, domain, type, protocol));
}
inline int connect(int fd, const void* address, socklen_t size) {
  return static_cast<int>(::syscall(SYS_connect, fd, address, size));
}
inline int getpeername(int fd, void* address, socklen_t* size) {
  return static_cast<int>(::syscall(SYS_getpeername, fd, address, size));
}
inline int getsockopt(int fd, int level, int name, void* value, socklen_t* size) {
  return static_cast<int>(::syscall(SYS_getsockopt, fd, level, name, value, size));
}
inline int fcntl(int fd, int command, long argument) {
  return static_cast<int>(::syscall(SYS_fcntl, fd, command, argument));
}
inline int dup3(int from, int to, int flags) {
  return static_cast<int>(::syscall(SYS_dup3, from, to, flags));
}
inline int close_range(unsigned first, unsigned last, unsigned flags) {
  return static_cast<int>(::syscall(SYS_close_range, first, last, flags));
}

// Keeps the caller's errno over what the shim does on its own account.
class KeepErrno {
 public:
  KeepErrno() : saved_(errno) {}
  ~KeepErrno() { errno = saved_; }
  KeepErrno(const KeepErrno&) = delete;
  KeepErrno& operator=(const KeepErrno&) = delete;

 private:
  int saved_;
};

}  // namespace proofs::token::kernel
