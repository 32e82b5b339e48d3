// SPDX-License-Identifier: Apache-2.0
// For `ports`: what this machine makes of the wire `shm:NAME`.
#pragma once

#include <string>

namespace tideline::app {

// What it lacks, or nothing; and what it allows beyond.
std::string shm_lacks();
std::string shm_allows();

}  // namespace tideline::app
