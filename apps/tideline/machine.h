// SPDX-License-Identifier: Apache-2.0
// For `ports` and `doctor`: what this machine makes of each kind of wire. Nothing is changed, but
// the directory where members of a segment meet is made.
#pragma once

#include <string>

namespace tideline::app {

// What each lacks, and what to do; or nothing.
std::string shm_lacks();
std::string tap_lacks();
std::string packet_lacks();
std::string xdp_lacks();
// What the wire `shm:NAME` allows beyond.
std::string shm_allows();
// Whether sealed memory gets pages of 2 MiB here and now.
bool has_huge_pages();

}  // namespace tideline::app
