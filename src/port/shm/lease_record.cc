// SPDX-License-Identifier: Apache-2.0
#include "port/shm/lease_record.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>

#include "base/fd.h"

namespace tideline::port::shm {
namespace {

// Fields of /proc/PID/stat that follow the name, counted from 1.
constexpr std::size_t kStateField = 3;
constexpr std::size_t kThreadsField = 20;
constexpr std::size_t kStartTimeField = 22;

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

}  // namespace

LeaseRecord own_record(std::uint64_t incarnation, bool promiscuous) {
  const auto pid = static_cast<std::uint64_t>(::getpid());
  const std::optional<ProcessState> self = process_state(pid);
  // Without a start time, or without /proc, the lock alone decides: see owner_is_gone.
  return {.incarnation = incarnation,
          .pid = pid,
          .start_time = self ? self->start_time : 0,
          .pid_namespace = self ? pid_namespace() : 0,
          .promiscuous = promiscuous ? 1U : 0U};
}

std::optional<LeaseRecord> read_record(int fd) {
  LeaseRecord record;
  if (::pread(fd, &record, sizeof(record), 0) != sizeof(record)) return std::nullopt;
  return record;
}

bool write_record(int fd, const LeaseRecord& record) {
  return ::pwrite(fd, &record, sizeof(record), 0) == sizeof(record);
}

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

}  // namespace tideline::port::shm
