// SPDX-License-Identifier: Apache-2.0
// The texts of compare/workloads/*.toml; the build makes the other half.
#pragma once

#include <span>
#include <string_view>

namespace tideline::app::compare {

struct BuiltinWorkload {
  std::string_view name;
  std::string_view toml;
};
extern const std::span<const BuiltinWorkload> kBuiltinWorkloads;

}  // namespace tideline::app::compare
