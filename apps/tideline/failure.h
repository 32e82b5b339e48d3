// SPDX-License-Identifier: Apache-2.0
// How a command fails: an Error on its way to main, which prints it and turns its kind into the
// exit status.
#pragma once

#include <stdexcept>
#include <utility>

#include "base/error.h"

namespace tideline::app {

class Failure : public std::runtime_error {
 public:
  explicit Failure(const Error& error) : std::runtime_error(error.message()), kind(error.kind) {}
  ErrorKind kind;
};

template <typename T>
T value_or_throw(Result<T> result) {
  if (!result) throw Failure(result.error());
  return std::move(*result);
}
inline void value_or_throw(Status status) {
  if (!status) throw Failure(status.error());
}

}  // namespace tideline::app
