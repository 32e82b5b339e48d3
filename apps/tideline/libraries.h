// SPDX-License-Identifier: Apache-2.0
// The libraries that `tideline run` puts into unmodified programs: where they are, and whether the
// loader takes them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace tideline::app {

inline constexpr const char* kPreload = "libtideline-verbs.so";
inline constexpr const char* kSocketsPreload = "libtideline-sockets.so";  // after the other
inline constexpr const char* kDropIn = "tideline-dropin";

// Beside the folder of this program: build/release/bin and build/release/lib, or bin and lib where
// it is installed.
std::filesystem::path library_folder();

// Why the loader refuses which of them; empty if it takes them all. They are tried in children of
// this process, which they would change.
std::vector<std::string> refused_libraries();

}  // namespace tideline::app
