// SPDX-License-Identifier: Apache-2.0
// The intercepted calls that move bytes. Called by the program, on any thread.
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstring>

#include "proofs/token/shim/entry.h"
#include "proofs/token/shim/process.h"
#include "proofs/token/shim/stream.h"

using namespace proofs::token;  // NOLINT(google-build-using-namespace): C names are in no namespace

namespace {

ssize_t receive(int fd, const iovec* to, int count, int flags) {
  const Kind kind = fd_table.kind(fd);
  if (kind != Kind::kStream) return finish<ssize_t>(not_a_stream(kind));
  const Ref<Stream> stream(fd, kind);
  if (!stream) return finish<ssize_t>(-EBADF);
  if (count < 0 || count > IOV_MAX) return finish<ssize_t>(-EINVAL);
  return finish(stream->receive(fd, {to, static_cast<std::size_t>(count)}, flags));
}

ssize_t transmit(int fd, const iovec* from, int count, int flags) {
  const Kind kind = fd_table.kind(fd);
  if (kind != Kind::kStream) return finish<ssize_t>(not_a_stream(kind));
  const Ref<Stream> stream(fd, kind);
  if (!stream) return finish<ssize_t>(-EBADF);
  if (count < 0 || count > IOV_MAX) return finish<ssize_t>(-EINVAL);
  return finish(stream->send(fd, {from, static_cast<std::size_t>(count)}, flags));
}

// Descriptors that have just arrived may be tokens: they are looked at when first used.
void forget_received(msghdr* message) {
  for (cmsghdr* header = CMSG_FIRSTHDR(message); header != nullptr;
       header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      drop_entry(fd);
    }
  }
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

ssize_t read(int fd, void* to, std::size_t size) {
  if (passes_through(fd)) return libc().read(fd, to, size);
  const iovec one{to, size};
  return receive(fd, &one, 1, 0);
}

ssize_t write(int fd, const void* from, std::size_t size) {
  if (passes_through(fd)) return libc().write(fd, from, size);
  const iovec one{const_cast<void*>(from), size};
  return transmit(fd, &one, 1, 0);
}

ssize_t readv(int fd, const iovec* to, int count) {
  if (passes_through(fd)) return libc().readv(fd, to, count);
  return receive(fd, to, count, 0);
}

ssize_t writev(int fd, const iovec* from, int count) {
  if (passes_through(fd)) return libc().writev(fd, from, count);
  return transmit(fd, from, count, 0);
}

ssize_t recv(int fd, void* to, std::size_t size, int flags) {
  if (passes_through(fd)) return libc().recv(fd, to, size, flags);
  const iovec one{to, size};
  return receive(fd, &one, 1, flags);
}

ssize_t send(int fd, const void* from, std::size_t size, int flags) {
  if (passes_through(fd)) return libc().send(fd, from, size, flags);
  const iovec one{const_cast<void*>(from), size};
  return transmit(fd, &one, 1, flags);
}

ssize_t recvfrom(int fd, void* to, std::size_t size, int flags, sockaddr* address,
                 socklen_t* length) {
  if (passes_through(fd)) return libc().recvfrom(fd, to, size, flags, address, length);
  const iovec one{to, size};
  if (length != nullptr) *length = 0;  // a connected stream names no sender
  return receive(fd, &one, 1, flags);
}

ssize_t sendto(int fd, const void* from, std::size_t size, int flags, const sockaddr* address,
               socklen_t length) {
  if (passes_through(fd)) return libc().sendto(fd, from, size, flags, address, length);
  const iovec one{const_cast<void*>(from), size};
  return transmit(fd, &one, 1, flags);
}

ssize_t recvmsg(int fd, msghdr* message, int flags) {
  if (passes_through(fd)) {
    const ssize_t size = libc().recvmsg(fd, message, flags);
    if (size >= 0 && message->msg_controllen != 0) forget_received(message);
    return size;
  }
  message->msg_namelen = 0;
  message->msg_controllen = 0;
  message->msg_flags = 0;
  return receive(fd, message->msg_iov, static_cast<int>(message->msg_iovlen), flags);
}

ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  if (passes_through(fd)) return libc().sendmsg(fd, message, flags);
  return transmit(fd, message->msg_iov, static_cast<int>(message->msg_iovlen), flags);
}

ssize_t sendfile(int to, int from, off_t* offset, std::size_t size) {
  if (passes_through(to)) return libc().sendfile(to, from, offset, size);
  const Kind kind = fd_table.kind(to);
  if (kind != Kind::kStream) return finish<ssize_t>(not_a_stream(kind));
  const Ref<Stream> stream(to, kind);
  return stream ? finish(stream->send_file(to, from, offset, size)) : finish<ssize_t>(-EBADF);
}

ssize_t sendfile64(int to, int from, off64_t* offset, std::size_t size) {
  return sendfile(to, from, offset, size);
}

// The names under which _FORTIFY_SOURCE calls them.
// NOLINTBEGIN(readability-identifier-naming): libc's names
[[noreturn]] void __chk_fail();

ssize_t __read_chk(int fd, void* to, std::size_t size, std::size_t room) {
  if (size > room) __chk_fail();
  return read(fd, to, size);
}

ssize_t __recv_chk(int fd, void* to, std::size_t size, std::size_t room, int flags) {
  if (size > room) __chk_fail();
  return recv(fd, to, size, flags);
}

ssize_t __recvfrom_chk(int fd, void* to, std::size_t size, std::size_t room, int flags,
                       sockaddr* address, socklen_t* length) {
  if (size > room) __chk_fail();
  return recvfrom(fd, to, size, flags, address, length);
}
// NOLINTEND(readability-identifier-naming)

}  // extern "C"
#pragma GCC visibility pop
