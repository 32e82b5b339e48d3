// SPDX-License-Identifier: Apache-2.0
// Errors of control verbs, with the errno that the verb returns. Inside the room. Thread: any.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <utility>

#include "base/error.h"

namespace tideline::rdma {

inline std::unexpected<Error> invalid(std::string what) {
  return fail({.kind = ErrorKind::kUsage, .what = std::move(what), .errno_value = EINVAL});
}

inline std::unexpected<Error> exhausted(std::string what) {
  return fail({.kind = ErrorKind::kExhausted, .what = std::move(what), .errno_value = ENOMEM});
}

inline std::unexpected<Error> busy(const char* what, std::uint32_t users) {
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("{} still has {} users", what, users),
               .errno_value = EBUSY});
}

}  // namespace tideline::rdma
