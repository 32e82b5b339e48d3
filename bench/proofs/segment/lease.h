// SPDX-License-Identifier: Apache-2.0
// The meeting point: a directory where each slot of the segment has a lock file "N.lock" and, while
// somebody owns it, a Unix socket "N.sock". Pathnames, because abstract socket names are private to
// a network namespace. Called when a member joins and leaves. Thread: any, one per object.
//
// A lease is an OFD write lock on byte 0 of the lock file (fcntl F_OFD_SETLK): the kernel frees it
// however the owner ends. Only a forked child can keep it alive, so the file also names the owner,
// and a lease whose owner has ended is free nevertheless: its file is replaced by a new one. Byte 1
// is locked during a claim, with the same promise: a claimant that is killed frees it, one that is
// stopped makes others pass on to the next slot, and nobody ever waits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace proofs::segment {

// Who owns a slot, as written in its lock file.
struct LeaseRecord {
  std::uint64_t incarnation = 0;  // counts the owners of the slot
  std::uint64_t pid = 0;
  std::uint64_t start_time = 0;     // field 22 of /proc/PID/stat: pids are reused
  std::uint64_t pid_namespace = 0;  // inode: elsewhere the pid says nothing

  friend bool operator==(const LeaseRecord&, const LeaseRecord&) = default;
};

class MeetingPoint {
 public:
  // Opens the directory; makes it if it does not exist.
  static tideline::Result<MeetingPoint> open(const std::string& path);

  // The path of a slot's socket, short enough for sockaddr_un however long the directory's is.
  std::string socket_path(unsigned slot) const;
  void remove_socket(unsigned slot) const;
  // The owner that a slot's lock file names, dead or alive.
  std::optional<LeaseRecord> owner(unsigned slot) const;
  int directory() const { return directory_.get(); }

 private:
  explicit MeetingPoint(tideline::UniqueFd directory) : directory_(std::move(directory)) {}

  tideline::UniqueFd directory_;
};

class Lease {
 public:
  // Claims the lowest free slot below `slots`. The slot's socket file, if its last owner left one,
  // is removed.
  static tideline::Result<Lease> claim(const MeetingPoint& meeting_point, unsigned slots);

  unsigned slot() const { return slot_; }
  std::uint64_t incarnation() const { return incarnation_; }
  // Gives the slot back, even if a forked child has a copy of the lock's descriptor. Destruction
  // only closes this copy: that is what a forked child does. One that keeps its copy keeps the lock
  // alive, but not the lease.
  void release();

 private:
  Lease(tideline::UniqueFd lock, unsigned slot, std::uint64_t incarnation)
      : lock_(std::move(lock)), slot_(slot), incarnation_(incarnation) {}

  tideline::UniqueFd lock_;
  unsigned slot_ = 0;
  std::uint64_t incarnation_ = 0;
};

// Whether the record's pid means here what it meant to its writer.
bool is_of_this_pid_namespace(const LeaseRecord& record);
// Whether the process that a record names has certainly ended. False when this process cannot tell.
bool owner_is_gone(const LeaseRecord& record);

}  // namespace proofs::segment
