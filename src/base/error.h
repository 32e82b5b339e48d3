// SPDX-License-Identifier: Apache-2.0
// How functions return the errors of the public API (include/tideline/error.h), which are those of
// all control paths.
#pragma once

#include <expected>
#include <string>
#include <utility>

#include <tideline/error.h>

namespace tideline {

inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

// An error of a system call that has just failed: appends the text of errno to `what`.
std::unexpected<Error> fail_errno(std::string what, std::string remedy = {});

}  // namespace tideline
