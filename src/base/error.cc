// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace tideline {

std::string Error::message() const { return remedy.empty() ? what : what + "; " + remedy; }

std::unexpected<Error> fail_errno(std::string what, std::string remedy) {
  const int value = errno;
  what += ": ";
  what += strerrordesc_np(value) != nullptr ? strerrordesc_np(value) : "unknown error";
  return fail({.kind = ErrorKind::kEnvironment,
               .what = std::move(what),
               .remedy = std::move(remedy),
               .errno_value = value});
}

}  // namespace tideline
