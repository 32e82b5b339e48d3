// SPDX-License-Identifier: Apache-2.0
// The intercepted calls that make, name and configure sockets. Called by the program, on any
// thread.
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstdarg>

#include "proofs/token/shim/connect.h"
#include "proofs/token/shim/entry.h"
#include "proofs/token/shim/option.h"
#include "proofs/token/shim/process.h"
#include "proofs/token/shim/stream.h"

using namespace proofs::token;  // NOLINT(google-build-using-namespace): C names are in no namespace

namespace {

int name_of(int fd, bool peer, sockaddr* address, socklen_t* size) {
  const Kind kind = fd_table.kind(fd);
  if (kind == Kind::kStream) {
    const Ref<Stream> stream(fd, kind);
    if (!stream) return -EBADF;
    to_sockaddr(stream->address(peer), address, size);
    return 0;
  }
  if (kind == Kind::kInternal) return -EBADF;
  if (peer) return -ENOTCONN;
  to_sockaddr(unpack(fd_table.word(fd)), address, size);
  return 0;
}

// A listener's options: what it is; the rest is taken and has no effect.
int listener_option(int level, int name, void* value, socklen_t* size) {
  if (value == nullptr || size == nullptr || *size < sizeof(int)) return -EFAULT;
  int number = 0;
  if (level == SOL_SOCKET && name == SO_ACCEPTCONN) number = 1;
  if (level == SOL_SOCKET && name == SO_TYPE) number = SOCK_STREAM;
  if (level == SOL_SOCKET && name == SO_DOMAIN) number = AF_INET;
  if (level == SOL_SOCKET && name == SO_PROTOCOL) number = IPPROTO_TCP;
  *static_cast<int*>(value) = number;
  *size = sizeof(number);
  return 0;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int socket(int domain, int type, int protocol) noexcept {
  process.start();
  const int fd = libc().socket(domain, type, protocol);
  if (fd >= 0) fd_table.set(fd, Kind::kKernel);
  return fd;
}

int bind(int fd, const sockaddr* address, socklen_t size) noexcept {
  process.start();
  if (process.ours(address, size) && undecided(fd)) return finish(bind_ours(fd, address));
  return libc().bind(fd, address, size);
}

int listen(int fd, int backlog) noexcept {
  switch (kind_of(fd)) {
    case Kind::kBound:
      return finish(listen_ours(fd));
    case Kind::kListener:
      return 0;
    default:
      return libc().listen(fd, backlog);
  }
}

int connect(int fd, const sockaddr* address, socklen_t size) {
  process.start();
  if (kind_of(fd) == Kind::kStream) return finish(-EISCONN);
  if (process.ours(address, size) && undecided(fd)) return finish(connect_ours(fd, address));
  return libc().connect(fd, address, size);
}

int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  if (passes_through(fd)) {
    const int accepted = libc().accept4(fd, address, size, flags);
    if (accepted >= 0) fd_table.set(accepted, Kind::kKernel);
    return accepted;
  }
  const Kind kind = fd_table.kind(fd);
  if (kind == Kind::kInternal) return finish(-EBADF);
  if (kind != Kind::kListener) return finish(-EINVAL);
  return finish(accept_ours(fd, address, size, flags));
}

int accept(int fd, sockaddr* address, socklen_t* size) { return accept4(fd, address, size, 0); }

int getsockname(int fd, sockaddr* address, socklen_t* size) noexcept {
  if (passes_through(fd)) return libc().getsockname(fd, address, size);
  return finish(name_of(fd, false, address, size));
}

int getpeername(int fd, sockaddr* address, socklen_t* size) noexcept {
  if (passes_through(fd)) return libc().getpeername(fd, address, size);
  return finish(name_of(fd, true, address, size));
}

int shutdown(int fd, int how) noexcept {
  if (passes_through(fd)) return libc().shutdown(fd, how);
  const Ref<Stream> stream(fd_table.kind(fd) == Kind::kStream ? fd : -1, Kind::kStream);
  return stream ? finish(stream->shut_down(how)) : finish(-ENOTCONN);
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  const Kind kind = kind_of(fd);
  if (kind == Kind::kListener) return 0;
  if (kind != Kind::kStream) return libc().setsockopt(fd, level, name, value, size);
  const Ref<Stream> stream(fd, kind);
  return stream ? finish(set_option(*stream, level, name, value, size)) : finish(-EBADF);
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* size) noexcept {
  const Kind kind = kind_of(fd);
  if (kind == Kind::kListener) return finish(listener_option(level, name, value, size));
  if (kind != Kind::kStream) return libc().getsockopt(fd, level, name, value, size);
  const Ref<Stream> stream(fd, kind);
  return stream ? finish(get_option(*stream, level, name, value, size)) : finish(-EBADF);
}

int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  const Kind kind = kind_of(fd);
  if (kind == Kind::kInternal) return finish(-EBADF);
  if (kind == Kind::kStream && (request == FIONBIO || request == FIONREAD)) {
    const Ref<Stream> stream(fd, kind);
    const int done = stream ? control_stream(*stream, request, argument) : -EBADF;
    if (request == FIONREAD || done < 0) return finish(done);
  }
  return libc().ioctl(fd, request, argument);
}

}  // extern "C"
#pragma GCC visibility pop
