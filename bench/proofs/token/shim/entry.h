// SPDX-License-Identifier: Apache-2.0
// What the intercepted functions have in common: every one asks first whether the descriptor passes
// through, and turns a negative errno into -1.
#pragma once

#include <sys/types.h>

#include <cerrno>

#include "proofs/token/shim/classify.h"
#include "proofs/token/shim/fd_table.h"
#include "shim/sockets/libc.h"

namespace proofs::token {

using tideline::shim::sockets::libc;

template <typename T>
T finish(T result) {
  if (result >= 0) return result;
  errno = static_cast<int>(-result);
  return -1;
}

// What the calls for connected sockets say on anything of ours that is not one.
inline int not_a_stream(Kind kind) { return kind == Kind::kInternal ? -EBADF : -ENOTCONN; }

}  // namespace proofs::token
