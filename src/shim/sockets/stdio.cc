// SPDX-License-Identifier: Apache-2.0
// Streams on sockets, and the intercepted calls that make them and ask about them. Called by the
// program, on any thread.
#include "shim/sockets/stdio.h"

#include <stdarg.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include "shim/sockets/calls.h"
#include "shim/sockets/libc.h"

namespace tideline::shim::sockets {
namespace {

// A stream's cookie.
struct Stream {
  int fd;
  FILE* file = nullptr;
  Stream* next = nullptr;
};

constinit std::mutex mutex;
constinit Stream* streams = nullptr;  // few: a list will do

ssize_t read_stream(void* cookie, char* to, std::size_t size) {
  return ::read(static_cast<Stream*>(cookie)->fd, to, size);
}

// The C library takes fewer bytes than it asked for as a failure.
ssize_t write_stream(void* cookie, const char* from, std::size_t size) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t sent = ::write(static_cast<Stream*>(cookie)->fd, from + done, size - done);
    if (sent < 0) return done > 0 ? static_cast<ssize_t>(done) : 0;
    done += static_cast<std::size_t>(sent);
  }
  return static_cast<ssize_t>(done);
}

int close_stream(void* cookie) {
  const std::unique_ptr<Stream> stream(static_cast<Stream*>(cookie));
  {
    const std::scoped_lock lock(mutex);
    Stream** link = &streams;
    while (*link != stream.get()) link = &(*link)->next;
    *link = stream->next;
  }
  return ::close(stream->fd);
}

constexpr cookie_io_functions_t kCalls{
    .read = read_stream, .write = write_stream, .seek = nullptr, .close = close_stream};

ssize_t write_all(int fd, const char* text, int size) {
  for (int done = 0; done < size;) {
    const ssize_t sent = ::write(fd, text + done, static_cast<std::size_t>(size - done));
    if (sent < 0) return -1;
    done += static_cast<int>(sent);
  }
  return size;
}

}  // namespace

FILE* open_stream(int fd, const char* mode) {
  std::unique_ptr<Stream> stream(new (std::nothrow) Stream{.fd = fd});
  if (stream == nullptr) return nullptr;
  FILE* const file = ::fopencookie(stream.get(), mode, kCalls);
  if (file == nullptr) return nullptr;
  stream->file = file;
  const std::scoped_lock lock(mutex);
  stream->next = streams;
  streams = stream.release();
  return file;
}

void renew_standard_stream(int fd) {
  // Of the program: stdin, stdout and stderr are variables.
  constexpr std::array<FILE**, 3> kStandard{&stdin, &stdout, &stderr};
  static constinit std::array<FILE*, 3> original{};
  if (fd < 0 || fd > STDERR_FILENO) return;
  const auto number = static_cast<std::size_t>(fd);
  FILE*& stream = *kStandard[number];
  const bool ours = !passes_through(fd);
  if (!ours && original[number] == nullptr) return;
  const int before = errno;
  if (fd != STDIN_FILENO) ::fflush(stream);
  if (!ours) {
    stream = std::exchange(original[number], nullptr);
  } else if (original[number] == nullptr) {
    if (FILE* on_socket = open_stream(fd, fd == STDIN_FILENO ? "r" : "w")) {
      original[number] = std::exchange(stream, on_socket);
      if (fd == STDERR_FILENO) ::setvbuf(stream, nullptr, _IONBF, 0);
    }
  }
  errno = before;
}

void flush_streams() {
  const std::scoped_lock lock(mutex);
  for (const Stream* each = streams; each != nullptr; each = each->next) {
    if (::ftrylockfile(each->file) != 0) continue;  // another thread is at it
    if (::__fwriting(each->file) != 0) ::fflush_unlocked(each->file);
    ::funlockfile(each->file);
  }
}

int number_of(FILE* stream) {
  const std::scoped_lock lock(mutex);
  const Stream* each = streams;
  while (each != nullptr && each->file != stream) each = each->next;
  return each == nullptr ? -1 : each->fd;
}

}  // namespace tideline::shim::sockets

using namespace tideline::shim::sockets;  // NOLINT(google-build-using-namespace): the C face of it

#pragma GCC visibility push(default)
extern "C" {

FILE* fdopen(int fd, const char* mode) noexcept {
  if (const FileRef file(fd); file && file->where() != Side::kKernel) return open_stream(fd, mode);
  return libc().fdopen(fd, mode);
}

int fileno(FILE* stream) noexcept {
  const int before = errno;
  const int fd = libc().fileno(stream);
  if (fd >= 0) return fd;
  const int number = number_of(stream);
  if (number >= 0) errno = before;
  return number;
}
int fileno_unlocked(FILE* stream) noexcept { return fileno(stream); }

// NOLINTBEGIN(cert-dcl50-cpp,cppcoreguidelines-pro-type-vararg): as POSIX declares them
int vdprintf(int fd, const char* format, va_list arguments) {
  if (passes_through(fd)) return libc().vdprintf(fd, format, arguments);
  char* text = nullptr;
  const int size = ::vasprintf(&text, format, arguments);
  if (size < 0) return size;
  const ssize_t written = write_all(fd, text, size);
  ::free(text);  // NOLINT(cppcoreguidelines-no-malloc): vasprintf()'s
  return static_cast<int>(written);
}

int dprintf(int fd, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int written = vdprintf(fd, format, arguments);
  va_end(arguments);
  return written;
}

// What programs built with _FORTIFY_SOURCE call.
// NOLINTBEGIN(readability-identifier-naming): the C library's names
int __vdprintf_chk(int fd, int /*flag*/, const char* format, va_list arguments) {
  return vdprintf(fd, format, arguments);
}
int __dprintf_chk(int fd, int /*flag*/, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int written = vdprintf(fd, format, arguments);
  va_end(arguments);
  return written;
}
// NOLINTEND(readability-identifier-naming)
// NOLINTEND(cert-dcl50-cpp,cppcoreguidelines-pro-type-vararg)

}  // extern "C"
#pragma GCC visibility pop
