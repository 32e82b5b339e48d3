// SPDX-License-Identifier: Apache-2.0
// The intercepted calls on descriptors as such: closing, duplicating, flags. Called by the program,
// on any thread.
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdint>

#include "shim/sockets/calls.h"
#include "shim/sockets/errors.h"
#include "shim/sockets/libc.h"
#include "shim/sockets/option.h"
#include "shim/sockets/process.h"
#include "shim/sockets/stdio.h"

namespace client = tideline::client;
using namespace tideline::shim::sockets;  // NOLINT(google-build-using-namespace): the C face of it

namespace {

void forget_range(unsigned first, unsigned last) {
  for (unsigned fd = first; fd <= std::min<unsigned>(last, kMaxFds - 1); ++fd) {
    forget_number(static_cast<int>(fd));
  }
}

// The engine's, which programs that close all numbers do not know of.
bool is_kept(int fd) {
  client::Sockets* const sockets = process.running();
  return sockets != nullptr && sockets->keeps(fd);
}

int close_but_kept(unsigned first, unsigned last, int flags) {
  if (first > last) return libc().close_range(first, last, flags);  // says what is wrong
  for (unsigned fd = first; fd <= std::min<unsigned>(last, kMaxFds - 1); ++fd) {
    if (!is_kept(static_cast<int>(fd))) continue;
    if (fd > first && libc().close_range(first, fd - 1, flags) != 0) return -1;
    first = fd + 1;
  }
  return first > last ? 0 : libc().close_range(first, last, flags);
}

int descriptor_control(int fd, int command, void* argument) {
  if (passes_through(fd)) return libc().fcntl(fd, command, argument);
  if (const FileRef file(fd); file && file->where() != Side::kKernel) {
    if (command == F_GETFL) return finish(file_flags(fd, *file));
    if (command == F_SETFL) {
      const auto flags = static_cast<int>(reinterpret_cast<std::intptr_t>(argument));
      return finish(set_file_flags(fd, *file, flags));
    }
  }
  const int result = libc().fcntl(fd, command, argument);
  if (result >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC)) share_number(fd, result);
  return result;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int close(int fd) {
  if (!passes_through(fd)) {
    forget_number(fd);
  } else if (is_kept(fd)) {
    errno = EBADF;
    return -1;
  }
  return libc().close(fd);
}

int close_range(unsigned first, unsigned last, int flags) noexcept {
  const auto wanted = static_cast<unsigned>(flags);
  const bool known = (wanted & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)) == 0;
  if (known && (wanted & CLOSE_RANGE_CLOEXEC) == 0 && first <= last) forget_range(first, last);
  return close_but_kept(first, last, flags);
}

void closefrom(int first) noexcept {
  close_range(static_cast<unsigned>(std::max(first, 0)), ~0U, 0);
}

int dup(int fd) noexcept {
  const int copy = libc().dup(fd);
  if (copy >= 0 && !passes_through(fd)) {
    share_number(fd, copy);
    renew_standard_stream(copy);
  }
  return copy;
}

int dup3(int from, int to, int flags) noexcept {
  if (is_kept(to)) {
    errno = EBUSY;
    return -1;
  }
  if (from == to || (passes_through(from) && passes_through(to)))
    return libc().dup3(from, to, flags);
  // Before the kernel puts something else there.
  if (libc().fcntl(from, F_GETFD) >= 0 && to >= 0) forget_number(to);
  const int copy = libc().dup3(from, to, flags);
  if (copy >= 0) {
    share_number(from, to);
    renew_standard_stream(to);
  }
  return copy;
}

int dup2(int from, int to) noexcept {
  return from == to ? libc().dup2(from, to) : dup3(from, to, 0);
}

// NOLINTBEGIN(cert-dcl50-cpp,cppcoreguidelines-pro-type-vararg): as POSIX declares them
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

int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  if (passes_through(fd)) return libc().ioctl(fd, request, argument);
  if (const FileRef file(fd); file && file->where() != Side::kKernel) {
    const int result = control_socket(fd, *file, request, argument);
    if (result != kPass) return finish(result);
  }
  return libc().ioctl(fd, request, argument);
}
// NOLINTEND(cert-dcl50-cpp,cppcoreguidelines-pro-type-vararg)

// The C library's own asks past ioctl.
int sockatmark(int fd) noexcept {
  int answer = 0;
  return ioctl(fd, SIOCATMARK, &answer) < 0 ? -1 : answer;
}

// A child of vfork shares this memory: what it closes would be forgotten here, too.
pid_t vfork() noexcept { return ::fork(); }

}  // extern "C"
#pragma GCC visibility pop
