// SPDX-License-Identifier: Apache-2.0
// CHECK(condition, "format", values...): a condition that only a bug of this project can break.
// Prints the place and the values and aborts. What a peer, a guest or a client sends never reaches
// a CHECK: it is answered with a DropReason or an Error.
#pragma once

#include <fmt/core.h>

#include <string>

namespace tideline {

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& message);

template <typename... Args>
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               fmt::format_string<Args...> format, Args&&... args) {
  check_failed(file, line, condition, fmt::format(format, std::forward<Args>(args)...));
}

[[noreturn]] inline void check_failed(const char* file, int line, const char* condition) {
  check_failed(file, line, condition, std::string());
}

}  // namespace tideline

#define CHECK(condition, ...)                                                              \
  do {                                                                                     \
    if (!(condition)) [[unlikely]]                                                         \
      ::tideline::check_failed(__FILE__, __LINE__, #condition __VA_OPT__(, ) __VA_ARGS__); \
  } while (false)
