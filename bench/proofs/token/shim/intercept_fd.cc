// SPDX-License-Identifier: Apache-2.0
// The intercepted calls on descriptors as such: closing, duplicating, flags. Called by the program,
// on any thread. fork needs no entry (pthread_atfork), and exec none: a new image asks the kernel
// what its descriptors are (classify), and the shim's own close on exec.
#include <fcntl.h>
#include <linux/close_range.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>

#include "proofs/token/shim/entry.h"
#include "proofs/token/shim/kernel.h"
#include "proofs/token/shim/process.h"
#include "proofs/token/shim/stream.h"

using namespace proofs::token;  // NOLINT(google-build-using-namespace): C names are in no namespace

namespace {

bool internal(int fd) { return fd_table.kind(fd) == Kind::kInternal; }

int descriptor_control(int fd, int command, void* argument) {
  const Kind kind = kind_of(fd);
  if (kind == Kind::kInternal) return finish(-EBADF);
  const int result = libc().fcntl(fd, command, argument);
  if (result < 0 || kind == Kind::kKernel) {
    // A duplicate may land on a number that was known as something else.
    if (result >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC)) share_entry(fd, result);
    return result;
  }
  if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) share_entry(fd, result);
  if (command == F_SETFL && kind == Kind::kStream) {
    const Ref<Stream> stream(fd, kind);
    const auto flags = reinterpret_cast<std::uint64_t>(argument);
    if (stream) stream->endpoint().nonblocking.store((flags & O_NONBLOCK) != 0 ? 1 : 0);
  }
  return result;
}

// Closes all but the shim's own, which lie among the numbers.
int close_between(unsigned first, unsigned last, unsigned flags) {
  unsigned start = first;
  const unsigned known_last = std::min<unsigned>(last, kMaxFds - 1);
  for (unsigned fd = first; fd <= known_last; ++fd) {
    const Kind kind = fd_table.kind(static_cast<int>(fd));
    if (kind == Kind::kInternal) {
      if (fd > start) kernel::close_range(start, fd - 1, flags);
      start = fd + 1;
    } else if (kind != Kind::kUnknown && (flags & CLOSE_RANGE_CLOEXEC) == 0) {
      drop_entry(static_cast<int>(fd));
    }
  }
  return start <= last ? libc().close_range(start, last, static_cast<int>(flags)) : 0;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int close(int fd) {
  if (internal(fd)) return finish(-EBADF);
  drop_entry(fd);
  return libc().close(fd);
}

int close_range(unsigned first, unsigned last, int flags) noexcept {
  const auto bits = static_cast<unsigned>(flags);
  if (first > last || (bits & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)) != 0) {
    return libc().close_range(first, last, flags);
  }
  return close_between(first, last, bits);
}

void closefrom(int first) noexcept {
  close_between(static_cast<unsigned>(std::max(first, 0)), ~0U, 0);
}

int dup(int fd) noexcept {
  if (internal(fd)) return finish(-EBADF);
  kind_of(fd);
  const int copy = libc().dup(fd);
  if (copy >= 0) share_entry(fd, copy);
  return copy;
}

int dup3(int from, int to, int flags) noexcept {
  if (internal(from) || internal(to)) return finish(-EBADF);
  kind_of(from);
  const int copy = libc().dup3(from, to, flags);
  if (copy < 0) return copy;
  drop_entry(to);
  share_entry(from, to);
  return copy;
}

int dup2(int from, int to) noexcept {
  if (from != to) return dup3(from, to, 0);
  return internal(from) ? finish(-EBADF) : libc().dup2(from, to);
}

int fcntl(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return descriptor_control(fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  return descriptor_control(fd, command, argument);
}

// A child of vfork shares this memory: what it closes would be forgotten here, too.
pid_t vfork() noexcept { return ::fork(); }

}  // extern "C"
#pragma GCC visibility pop
