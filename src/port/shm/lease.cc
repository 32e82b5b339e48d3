// SPDX-License-Identifier: Apache-2.0
#include "port/shm/lease.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "port/shm/lease_record.h"

namespace tideline::port::shm {
namespace {

constexpr mode_t kFileMode = 0600;
constexpr off_t kOwnerByte = 0;
constexpr off_t kClaimByte = 1;

bool try_lock(int fd, off_t byte, short type = F_WRLCK) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return ::fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

bool is_file_at(int fd, int directory, const std::string& name) {
  struct stat opened{};
  struct stat named{};
  return ::fstat(fd, &opened) == 0 && ::fstatat(directory, name.c_str(), &named, 0) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

// The lock of a gone owner is held by a child that it forked: puts a new file, locked from the
// start, in place of the old one. The caller holds the old file's claim byte, so nobody else does.
UniqueFd replace_lock(int directory, unsigned slot, const LeaseRecord& record) {
  const std::string name = lock_name(slot);
  const std::string next = name + ".new";
  ::unlinkat(directory, next.c_str(), 0);  // left by a claimant that was killed here
  UniqueFd fd(::openat(directory, next.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode));
  if (!fd || !try_lock(fd.get(), kOwnerByte) || !write_record(fd.get(), record) ||
      ::renameat(directory, next.c_str(), directory, name.c_str()) != 0) {
    return {};
  }
  return fd;
}

}  // namespace

std::optional<Lease> Lease::try_claim(const MeetingPoint& meeting_point, unsigned slot,
                                      bool promiscuous) {
  const int directory = meeting_point.directory();
  const std::string name = lock_name(slot);
  UniqueFd fd(::openat(directory, name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode));
  if (!fd || !try_lock(fd.get(), kClaimByte)) return std::nullopt;
  // Whoever held the claim byte a moment ago may have replaced the file.
  if (!is_file_at(fd.get(), directory, name)) return std::nullopt;
  const LeaseRecord last = read_record(fd.get()).value_or(LeaseRecord{});
  const LeaseRecord own = own_record(last.incarnation + 1, promiscuous);
  if (try_lock(fd.get(), kOwnerByte)) {
    if (!write_record(fd.get(), own)) return std::nullopt;
    try_lock(fd.get(), kClaimByte, F_UNLCK);
  } else {
    if (!owner_is_gone(last)) return std::nullopt;
    fd = replace_lock(directory, slot, own);
    if (!fd) return std::nullopt;
  }
  meeting_point.remove_socket(slot);
  return Lease(std::move(fd), slot, own.incarnation);
}

Result<Lease> Lease::claim(const MeetingPoint& meeting_point, unsigned slots,
                           const ClaimOrder& order, bool promiscuous) {
  if (order.wanted && *order.wanted < slots) {
    if (auto lease = try_claim(meeting_point, *order.wanted, promiscuous)) return std::move(*lease);
  }
  for (unsigned i = 0; i < slots; ++i) {
    const unsigned slot = order.highest_first ? slots - 1 - i : i;
    if (auto lease = try_claim(meeting_point, slot, promiscuous)) return std::move(*lease);
  }
  return fail({.kind = ErrorKind::kExhausted,
               .what = fmt::format("all {} slots of the segment are owned", slots),
               .remedy = "end a member, or choose another segment"});
}

void Lease::release() {
  if (lock_) try_lock(lock_.get(), kOwnerByte, F_UNLCK);
  lock_.reset();
}

}  // namespace tideline::port::shm
