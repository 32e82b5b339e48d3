// SPDX-License-Identifier: Apache-2.0
// Who owns a slot of a segment, as its lock file says, and whether that process still lives.
// Control path; any thread.
#pragma once

#include <cstdint>
#include <optional>

namespace tideline::port::shm {

// The content of a lock file.
struct LeaseRecord {
  std::uint64_t incarnation = 0;  // counts the owners of the slot
  std::uint64_t pid = 0;
  std::uint64_t start_time = 0;     // field 22 of /proc/PID/stat: pids are reused
  std::uint64_t pid_namespace = 0;  // inode: elsewhere the pid says nothing
  std::uint64_t promiscuous = 0;    // 1: it asks all others for a copy of all that they send

  friend bool operator==(const LeaseRecord&, const LeaseRecord&) = default;
};

// The record of the calling process.
LeaseRecord own_record(std::uint64_t incarnation, bool promiscuous);
std::optional<LeaseRecord> read_record(int fd);
bool write_record(int fd, const LeaseRecord& record);

// Whether the record's pid means here what it meant to its writer.
bool is_of_this_pid_namespace(const LeaseRecord& record);
// Whether the process that a record names has certainly ended. False when this process cannot tell.
bool owner_is_gone(const LeaseRecord& record);

}  // namespace tideline::port::shm
