// SPDX-License-Identifier: Apache-2.0
// The intercepted calls that make sockets, name them and set them up. Called by the program, on any
// thread.
#include "shim/sockets/calls.h"
#include "shim/sockets/errors.h"
#include "shim/sockets/libc.h"
#include "shim/sockets/option.h"
#include "shim/sockets/process.h"

using namespace tideline::shim::sockets;  // NOLINT(google-build-using-namespace): the C face of it

#pragma GCC visibility push(default)
extern "C" {

int socket(int domain, int type, int protocol) noexcept {
  const int fd = libc().socket(domain, type, protocol);
  if (fd >= 0) {
    note_socket(fd, domain, type);
  } else if (errno == EMFILE) {
    process.tell_exhausted(EMFILE);
  }
  return fd;
}

int bind(int fd, const sockaddr* address, socklen_t size) noexcept {
  if (const FileRef file(fd); file && file->where() != Side::kKernel) {
    const int result = bind_socket(fd, *file, address, size);
    if (result != kPass) return finish(result);
  }
  return libc().bind(fd, address, size);
}

int listen(int fd, int backlog) noexcept {
  if (const FileRef file(fd); file && file->where() != Side::kKernel) {
    const int result = listen_socket(fd, *file, backlog);
    if (result != kPass) return finish(result);
  }
  return libc().listen(fd, backlog);
}

int connect(int fd, const sockaddr* address, socklen_t size) {
  if (const FileRef file(fd); file && file->where() != Side::kKernel) {
    const int result = connect_socket(fd, *file, address, size);
    if (result != kPass) return finish(result);
  }
  return libc().connect(fd, address, size);
}

int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  if (const FileRef file(fd); file && file->has_ours()) {
    return finish(accept_socket(fd, *file, address, size, flags));
  }
  return libc().accept4(fd, address, size, flags);
}

int accept(int fd, sockaddr* address, socklen_t* size) { return accept4(fd, address, size, 0); }

int shutdown(int fd, int how) noexcept {
  if (const FileRef file(fd); file && file->has_ours()) {
    return finish(shut_down_socket(fd, *file, how));
  }
  return libc().shutdown(fd, how);
}

int getsockname(int fd, sockaddr* address, socklen_t* size) noexcept {
  if (const FileRef file(fd); file && file->has_ours()) {
    return finish(local_name(*file, address, size));
  }
  return libc().getsockname(fd, address, size);
}

int getpeername(int fd, sockaddr* address, socklen_t* size) noexcept {
  if (const FileRef file(fd); file && file->has_ours()) {
    return finish(remote_name(*file, address, size));
  }
  return libc().getpeername(fd, address, size);
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t size) noexcept {
  if (const FileRef file(fd); file && file->where() != Side::kKernel) {
    return finish(set_option(fd, *file, level, name, value, size));
  }
  return libc().setsockopt(fd, level, name, value, size);
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* size) noexcept {
  if (const FileRef file(fd); file && file->where() != Side::kKernel) {
    return finish(get_option(fd, *file, level, name, value, size));
  }
  return libc().getsockopt(fd, level, name, value, size);
}

}  // extern "C"
#pragma GCC visibility pop
