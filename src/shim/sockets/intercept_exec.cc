// SPDX-License-Identifier: Apache-2.0
// The intercepted calls that replace the program: its sockets of ours go along where the placement
// allows it. Called by the program, on any thread.
#include <unistd.h>

#include <cstdarg>
#include <vector>

#include "shim/sockets/handover.h"
#include "shim/sockets/libc.h"

using namespace tideline::shim::sockets;  // NOLINT(google-build-using-namespace): the C face of it

namespace {

// Behind the first argument of execl() and its kin.
std::vector<char*> rest_of(const char* first, va_list arguments) {
  std::vector<char*> words{const_cast<char*>(first)};
  while (words.back() != nullptr) words.push_back(va_arg(arguments, char*));
  return words;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

int execve(const char* path, char* const* words, char* const* environment) noexcept {
  Handover handover(environment);
  handover.inherit();
  return libc().execve(path, words, handover.environment());
}

int execvpe(const char* file, char* const* words, char* const* environment) noexcept {
  Handover handover(environment);
  handover.inherit();
  return libc().execvpe(file, words, handover.environment());
}

int fexecve(int fd, char* const* words, char* const* environment) noexcept {
  Handover handover(environment);
  handover.inherit();
  return libc().fexecve(fd, words, handover.environment());
}

int execv(const char* path, char* const* words) noexcept { return execve(path, words, environ); }

int execvp(const char* file, char* const* words) noexcept { return execvpe(file, words, environ); }

// NOLINTBEGIN(cert-dcl50-cpp,cppcoreguidelines-pro-type-vararg): as POSIX declares them
int execl(const char* path, const char* first, ...) noexcept {
  va_list arguments;
  va_start(arguments, first);
  const std::vector<char*> words = rest_of(first, arguments);
  va_end(arguments);
  return execve(path, words.data(), environ);
}

int execlp(const char* file, const char* first, ...) noexcept {
  va_list arguments;
  va_start(arguments, first);
  const std::vector<char*> words = rest_of(first, arguments);
  va_end(arguments);
  return execvpe(file, words.data(), environ);
}

int execle(const char* path, const char* first, ...) noexcept {
  va_list arguments;
  va_start(arguments, first);
  const std::vector<char*> words = rest_of(first, arguments);
  char* const* environment = va_arg(arguments, char* const*);
  va_end(arguments);
  return execve(path, words.data(), environment);
}
// NOLINTEND(cert-dcl50-cpp,cppcoreguidelines-pro-type-vararg)

}  // extern "C"
#pragma GCC visibility pop
