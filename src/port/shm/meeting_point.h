// SPDX-License-Identifier: Apache-2.0
// The meeting point: a directory where each slot of the segment has a lock file "N.lock" (lease.h)
// and, while somebody owns it, a Unix socket "N.sock". Pathnames, because abstract socket names are
// private to a network namespace. Who may write in the directory is trusted not to spoil it, so it
// must belong to this user, and nobody else may write there. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "port/shm/lease_record.h"

namespace tideline::port::shm {

// Where a user's processes meet: $XDG_RUNTIME_DIR/tideline, /run/tideline and /tmp/tideline-UID, in
// this order, whether they exist or not.
std::vector<std::string> user_places();
// The first of them that is, or can be made, this user's.
Result<std::string> user_place();
// A directory that this user owns and nobody else may write in; made if it does not exist. Never a
// link that somebody else has put there.
Result<UniqueFd> open_own_directory(const std::string& path);

// The directory of the segment `name`: in user_place(). A name is of letters, digits, dots,
// dashes and underscores.
Result<std::string> segment_directory(std::string_view name);

class MeetingPoint {
 public:
  // Opens the directory; makes it if it does not exist. Refuses one that others may write in.
  static Result<MeetingPoint> open(const std::string& path);

  // The path of a slot's socket, short enough for sockaddr_un however long the directory's is.
  std::string socket_path(unsigned slot) const;
  void remove_socket(unsigned slot) const;
  // Bit per slot below 64: it has a socket, of an owner that lives or of one that was killed.
  std::uint64_t sockets() const;
  // The owner that a slot's lock file names, dead or alive.
  std::optional<LeaseRecord> owner(unsigned slot) const;
  int directory() const { return directory_.get(); }

 private:
  explicit MeetingPoint(UniqueFd directory) : directory_(std::move(directory)) {}

  UniqueFd directory_;
};

std::string lock_name(unsigned slot);

}  // namespace tideline::port::shm
