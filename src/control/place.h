// SPDX-License-Identifier: Apache-2.0
// Where control sockets are: `.control` in a user's place (port/shm/meeting_point.h), which no
// segment can have for a name; those of a front end are in its own directory, `.frontend/NAME`
// there. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace tideline::control {

inline constexpr std::string_view kSocketSuffix = ".sock";
// In a user's place: a directory for each front end.
inline constexpr std::string_view kFrontEnds = "/.frontend";

// This user's directory, made if it does not exist.
Result<UniqueFd> open_place();
// That of a front end, whose directory is open.
Result<UniqueFd> open_place_in(int directory);
// Where sockets of this user may be; for root, those of others, too. Whether they exist or not.
std::vector<std::string> all_places();
// The path of an entry of a directory, short enough for sockaddr_un.
std::string path_in(int directory, std::string_view name);

struct Connection {
  UniqueFd fd;
  int pid = 0;  // who listens, as the kernel says; 0: in another namespace
};
// Connects, with two seconds of patience for this and all that follows. Fails with the kernel's
// errno. What nobody listens to any more is removed (ECONNREFUSED).
Result<Connection> connect_to(int directory, const std::string& name);
// Names of the sockets in a directory.
std::vector<std::string> sockets_in(int directory);

}  // namespace tideline::control
