// SPDX-License-Identifier: Apache-2.0
// Errors of the control path: a value that says what failed, on what, and what the user can do
// about it. The data path has no Errors: it has readiness and counters.
#pragma once

#include <expected>
#include <string>

namespace tideline {

// What kind of failure it is: decides the exit status of a program and the errno of a shim.
enum class ErrorKind {
  kUsage,        // the caller asked for something that makes no sense
  kEnvironment,  // this machine lacks something, or forbids it
  kPeer,         // the other side failed, or broke the protocol
  kExhausted,    // a bounded resource is used up
};

struct Error {
  ErrorKind kind = ErrorKind::kEnvironment;
  std::string what;  // what failed, on what: "cannot map 2 MiB of /dev/shm/x: Permission denied"
  std::string remedy{};  // what the user can do; empty if nothing is known
  int errno_value = 0;   // the kernel's errno, 0 if it was not involved

  // "what", and "; remedy" where there is one.
  std::string message() const;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

}  // namespace tideline
