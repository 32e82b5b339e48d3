// SPDX-License-Identifier: Apache-2.0
// Where the libraries for unmodified programs are, and what they take from the environment.
#pragma once

#include <filesystem>

#include "options.h"

namespace tideline::app {

inline constexpr const char* kPreload = "libtideline-verbs.so";
inline constexpr const char* kSocketsPreload = "libtideline-sockets.so";  // after the other
inline constexpr const char* kDropIn = "tideline-dropin";

// Beside the folder of this program: build/release/bin and build/release/lib, or bin and lib where
// it is installed.
std::filesystem::path library_folder();

// Says of the wire what the user has said: shim/verbs/engine.h has the variables.
void set_wire_variables(const WireOptions& wire);

}  // namespace tideline::app
