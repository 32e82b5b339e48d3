// SPDX-License-Identifier: Apache-2.0
#include "proofs/segment/lease.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>

namespace proofs::segment {
namespace {

using tideline::Result;
using tideline::UniqueFd;

constexpr off_t kOwnerByte = 0;
constexpr off_t kClaimByte = 1;
// Fields of /proc/PID/stat that follow the name, counted from 1.
constexpr std::size_t kStateField = 3;
constexpr std::size_t kThreadsField = 20;
constexpr std::size_t kStartTimeField = 22;

bool try_lock(int fd, off_t byte, short type = F_WRLCK) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  return ::fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

std::optional<LeaseRecord> read_record(int fd) {
  LeaseRecord record;
  if (::pread(fd, &record, sizeof(record), 0) != sizeof(record)) return std::nullopt;
  return record;
}

bool write_record(int fd, const LeaseRecord& record) {
  return ::pwrite(fd, &record, sizeof(record), 0) == sizeof(record);
}

struct ProcessState {
  char state = '?';
  std::uint64_t threads = 0;
  std::uint64_t start_time = 0;
};

std::optional<ProcessState> process_state(std::uint64_t pid) {
  const UniqueFd fd(::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  std::array<char, 1024> text{};
  const ssize_t size = ::read(fd.get(), text.data(), text.size());
  if (size <= 0) return std::nullopt;
  std::string_view rest(text.data(), static_cast<std::size_t>(size));
  // Field 2, the program's name in parentheses, may contain anything.
  const std::size_t name_end = rest.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  rest.remove_prefix(name_end + 1);
  std::array<std::string_view, kStartTimeField + 1> fields;
  for (std::size_t field = kStateField; field <= kStartTimeField; ++field) {
    const std::size_t end = rest.find(' ', 1);
    if (end == std::string_view::npos) return std::nullopt;
    fields[field] = rest.substr(1, end - 1);
    rest.remove_prefix(end);
  }
  const auto number = [](std::string_view text_of_it) {
    std::uint64_t value = 0;
    std::from_chars(text_of_it.data(), text_of_it.data() + text_of_it.size(), value);
    return value;
  };
  return ProcessState{.state = fields[kStateField].front(),
                      .threads = number(fields[kThreadsField]),
                      .start_time = number(fields[kStartTimeField])};
}

std::uint64_t pid_namespace() {
  struct stat status{};
  return ::stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

LeaseRecord own_record(std::uint64_t incarnation) {
  const auto pid = static_cast<std::uint64_t>(::getpid());
  const std::optional<ProcessState> self = process_state(pid);
  // Without a start time, or without /proc, the lock alone decides: see owner_is_gone.
  return {.incarnation = incarnation,
          .pid = pid,
          .start_time = self ? self->start_time : 0,
          .pid_namespace = self ? pid_namespace() : 0};
}

std::string lock_name(unsigned slot) { return fmt::format("{}.lock", slot); }
std::string socket_name(unsigned slot) { return fmt::format("{}.sock", slot); }

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
  UniqueFd fd(::openat(directory, next.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!fd || !try_lock(fd.get(), kOwnerByte) || !write_record(fd.get(), record) ||
      ::renameat(directory, next.c_str(), directory, name.c_str()) != 0) {
    return {};
  }
  return fd;
}

struct Claimed {
  UniqueFd lock;
  std::uint64_t incarnation = 0;
};

std::optional<Claimed> try_claim(int directory, unsigned slot) {
  const std::string name = lock_name(slot);
  UniqueFd fd(::openat(directory, name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (!fd || !try_lock(fd.get(), kClaimByte)) return std::nullopt;
  // Whoever held the claim byte a moment ago may have replaced the file.
  if (!is_file_at(fd.get(), directory, name)) return std::nullopt;
  const LeaseRecord last = read_record(fd.get()).value_or(LeaseRecord{});
  const LeaseRecord own = own_record(last.incarnation + 1);
  if (try_lock(fd.get(), kOwnerByte)) {
    if (!write_record(fd.get(), own)) return std::nullopt;
    try_lock(fd.get(), kClaimByte, F_UNLCK);
    return Claimed{std::move(fd), own.incarnation};
  }
  if (!owner_is_gone(last)) return std::nullopt;
  UniqueFd fresh = replace_lock(directory, slot, own);
  if (!fresh) return std::nullopt;
  return Claimed{std::move(fresh), own.incarnation};
}

}  // namespace

bool is_of_this_pid_namespace(const LeaseRecord& record) {
  return record.pid_namespace != 0 && record.pid_namespace == pid_namespace();
}

bool owner_is_gone(const LeaseRecord& record) {
  if (record.pid == 0 || record.start_time == 0 || !is_of_this_pid_namespace(record)) {
    return false;
  }
  if (::kill(static_cast<pid_t>(record.pid), 0) != 0 && errno == ESRCH) return true;
  const std::optional<ProcessState> process = process_state(record.pid);
  if (!process) return false;  // hidden from this user, or ended just now: the next claim will see
  if (process->start_time != record.start_time) return true;
  // A zombie that nobody has reaped yet; with more threads only its first one has ended.
  return process->state == 'X' || (process->state == 'Z' && process->threads <= 1);
}

void Lease::release() {
  if (lock_) try_lock(lock_.get(), kOwnerByte, F_UNLCK);
  lock_.reset();
}

Result<MeetingPoint> MeetingPoint::open(const std::string& path) {
  if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) {
    return tideline::fail_errno(fmt::format("cannot make the meeting point '{}'", path));
  }
  UniqueFd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) {
    return tideline::fail_errno(fmt::format("cannot open the meeting point '{}'", path));
  }
  return MeetingPoint(std::move(directory));
}

std::string MeetingPoint::socket_path(unsigned slot) const {
  return fmt::format("/proc/self/fd/{}/{}", directory_.get(), socket_name(slot));
}

void MeetingPoint::remove_socket(unsigned slot) const {
  ::unlinkat(directory_.get(), socket_name(slot).c_str(), 0);
}

std::optional<LeaseRecord> MeetingPoint::owner(unsigned slot) const {
  const UniqueFd fd(::openat(directory_.get(), lock_name(slot).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  return read_record(fd.get());
}

Result<Lease> Lease::claim(const MeetingPoint& meeting_point, unsigned slots) {
  for (unsigned slot = 0; slot < slots; ++slot) {
    std::optional<Claimed> claimed = try_claim(meeting_point.directory(), slot);
    if (!claimed) continue;
    meeting_point.remove_socket(slot);
    return Lease(std::move(claimed->lock), slot, claimed->incarnation);
  }
  return tideline::fail({.kind = tideline::ErrorKind::kExhausted,
                         .what = fmt::format("all {} slots of the segment are owned", slots),
                         .remedy = "end a member, or choose another segment"});
}

}  // namespace proofs::segment
