// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/shim/connect.h"

#include <array>
#include <cerrno>

#include "proofs/token/shim/classify.h"
#include "proofs/token/shim/fd_table.h"
#include "proofs/token/shim/kernel.h"
#include "proofs/token/shim/process.h"
#include "proofs/token/shim/stream.h"

namespace proofs::token {
namespace {

std::uint32_t want_far() { return process.settings().wake == WakeMode::kToken ? 1 : 0; }

// Puts `token` on the program's number `fd`, with the flags that the kernel's socket had. Whether
// it was non-blocking, or a negative errno.
int replace(int fd, int token) {
  const int flags = kernel::fcntl(fd, F_GETFL, 0);
  const int descriptor_flags = kernel::fcntl(fd, F_GETFD, 0);
  drop_entry(fd);
  const int close_on_exec = (descriptor_flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0;
  const int placed = kernel::dup3(token, fd, close_on_exec);
  kernel::close(token);
  if (placed < 0) return -errno;
  kernel::fcntl(fd, F_SETFL, flags & (O_NONBLOCK | O_ASYNC));
  return (flags & O_NONBLOCK) != 0 ? 1 : 0;
}

// `fd`, a token just received, becomes an entry of the table.
int install(int fd, const Reply& reply, int memory, int far, bool nonblocking) {
  Stream* stream = Stream::open(memory, far, reply.side);
  if (stream == nullptr) return -ENOBUFS;
  stream->endpoint().nonblocking.store(nonblocking ? 1 : 0);
  fd_table.set(fd, Kind::kStream, reinterpret_cast<std::uint64_t>(stream));
  return 0;
}

}  // namespace

bool undecided(int fd) {
  const kernel::KeepErrno keep;
  if (fd_table.kind(fd) == Kind::kBound) return true;
  int type = 0;
  socklen_t size = sizeof(type);
  return passes_through(fd) && kernel::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
         type == SOCK_STREAM;
}

int bind_ours(int fd, const sockaddr* address) {
  if (fd_table.kind(fd) == Kind::kBound) return -EINVAL;
  fd_table.set(fd, Kind::kBound, pack(from_sockaddr(address)));
  return 0;
}

int listen_ours(int fd) {
  if (!process.link()) return -ENETUNREACH;
  const Address address = unpack(fd_table.word(fd));
  const Process::Answer answer = process.ask({.op = Op::kListen, .address = address});
  if (answer.reply.error != 0) return -answer.reply.error;
  const int placed = replace(fd, answer.fds[0]);
  if (placed < 0) return placed;
  fd_table.set(fd, Kind::kListener, pack(answer.reply.address));
  return 0;
}

int connect_ours(int fd, const sockaddr* address) {
  if (!process.link()) return -ENETUNREACH;
  const Process::Answer answer =
      process.ask({.op = Op::kConnect, .address = from_sockaddr(address), .want_far = want_far()});
  if (answer.reply.error != 0) return -answer.reply.error;
  const int nonblocking = replace(fd, answer.fds[0]);
  if (nonblocking < 0) return nonblocking;
  const int installed = install(fd, answer.reply, answer.fds[1], answer.fds[2], nonblocking != 0);
  // A non-blocking connect says what TCP's says; the connection is there at the next look.
  return installed == 0 && nonblocking != 0 ? -EINPROGRESS : installed;
}

// The listener token carries one message for each connection; its blocking mode is the kernel's
// own.
int accept_ours(int fd, sockaddr* address, socklen_t* size, int flags) {
  if (!process.link()) return -ENETUNREACH;
  Reply reply;
  std::array<int, 3> fds{-1, -1, -1};
  if (const int error = receive_reply(fd, 0, reply, fds); error != 0) return -error;
  const int token = fds[0];
  if ((flags & SOCK_CLOEXEC) == 0) kernel::fcntl(token, F_SETFD, 0);
  const bool nonblocking = (flags & SOCK_NONBLOCK) != 0;
  kernel::fcntl(token, F_SETFL, nonblocking ? O_NONBLOCK : 0);
  drop_entry(token);
  if (const int installed = install(token, reply, fds[1], fds[2], nonblocking); installed != 0) {
    kernel::close(token);
    return installed;
  }
  to_sockaddr(Stream::at(fd_table.word(token))->address(true), address, size);
  return token;
}

}  // namespace proofs::token
