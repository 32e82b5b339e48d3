// SPDX-License-Identifier: Apache-2.0
// What an unknown descriptor is: asked of the kernel at its first use in this process, and of the
// broker if it turns out to be a token (inherited over exec, or received by SCM_RIGHTS). Any
// thread.
#pragma once

#include "proofs/token/shim/fd_table.h"

namespace proofs::token {

Kind classify(int fd);

inline Kind kind_of(int fd) {
  const Kind kind = fd_table.kind(fd);
  return kind == Kind::kUnknown ? classify(fd) : kind;
}

// The one test on the way of every call: is it the kernel's, as it nearly always is?
inline bool passes_through(int fd) { return kind_of(fd) == Kind::kKernel; }

// `to` is now a duplicate of `from`.
void share_entry(int from, int to);
// `fd` is about to be closed: forgets what it was.
void drop_entry(int fd);

}  // namespace proofs::token
