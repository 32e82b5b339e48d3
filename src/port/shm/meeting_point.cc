// SPDX-License-Identifier: Apache-2.0
#include "port/shm/meeting_point.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace tideline::port::shm {
namespace {

constexpr std::size_t kLongestName = 64;
constexpr std::string_view kSocketSuffix = ".sock";

std::string socket_name(unsigned slot) { return fmt::format("{}{}", slot, kSocketSuffix); }

bool is_good_name(std::string_view name) {
  const auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= kLongestName && name.front() != '.' &&
         std::ranges::all_of(name, good);
}

// The slot of a socket's file name.
std::optional<unsigned> slot_of(std::string_view name) {
  if (!name.ends_with(kSocketSuffix)) return std::nullopt;
  name.remove_suffix(kSocketSuffix.size());
  unsigned slot = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), slot);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == name.data() + name.size();
  if (!whole || slot >= 64) return std::nullopt;
  return slot;
}

}  // namespace

Result<UniqueFd> open_own_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno(fmt::format("cannot make the directory '{}'", path));
  }
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status{};
  if (!fd || ::fstat(fd.get(), &status) != 0) {
    return fail_errno(fmt::format("cannot open the directory '{}'", path));
  }
  if (status.st_uid != ::geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return fail({.what = fmt::format("others may write in '{}'", path),
                 .remedy = "remove it, or set XDG_RUNTIME_DIR to a directory of your own"});
  }
  return fd;
}

std::vector<std::string> user_places() {
  std::vector<std::string> places;
  if (const char* runtime = std::getenv("XDG_RUNTIME_DIR"); runtime != nullptr && *runtime == '/') {
    places.push_back(fmt::format("{}/tideline", runtime));
  }
  places.emplace_back("/run/tideline");
  places.push_back(fmt::format("/tmp/tideline-{}", ::geteuid()));
  return places;
}

Result<std::string> user_place() {
  std::string reasons;
  for (const std::string& place : user_places()) {
    const auto directory = open_own_directory(place);
    if (directory) return place;
    reasons += (reasons.empty() ? "" : "; ") + directory.error().what;
  }
  return fail({.what = fmt::format("there is no place for members to meet: {}", reasons),
               .remedy = "set XDG_RUNTIME_DIR to a directory of your own"});
}

Result<std::string> segment_directory(std::string_view name) {
  if (!is_good_name(name)) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("'{}' cannot be the name of a segment", name),
                 .remedy = "use up to 64 letters, digits, dots, dashes and underscores"});
  }
  auto place = user_place();
  if (!place) return place;
  return fmt::format("{}/{}", *place, name);
}

Result<MeetingPoint> MeetingPoint::open(const std::string& path) {
  auto directory = open_own_directory(path);
  if (!directory) return fail(std::move(directory.error()));
  return MeetingPoint(std::move(*directory));
}

std::string MeetingPoint::socket_path(unsigned slot) const {
  return fmt::format("/proc/self/fd/{}/{}", directory_.get(), socket_name(slot));
}

void MeetingPoint::remove_socket(unsigned slot) const {
  ::unlinkat(directory_.get(), socket_name(slot).c_str(), 0);
}

// By the system call itself: readdir allocates, and this is called while frames pass.
std::uint64_t MeetingPoint::sockets() const {
  std::uint64_t found = 0;
  alignas(dirent64) std::array<char, 4096> entries{};
  ::lseek(directory_.get(), 0, SEEK_SET);
  for (;;) {
    const long size = ::syscall(SYS_getdents64, directory_.get(), entries.data(), entries.size());
    if (size <= 0) return found;
    for (std::size_t at = 0; at < static_cast<std::size_t>(size);) {
      const auto* entry = reinterpret_cast<const dirent64*>(&entries[at]);
      if (const auto slot = slot_of(entry->d_name)) found |= std::uint64_t{1} << *slot;
      at += entry->d_reclen;
    }
  }
}

std::optional<LeaseRecord> MeetingPoint::owner(unsigned slot) const {
  const UniqueFd fd(::openat(directory_.get(), lock_name(slot).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  return read_record(fd.get());
}

std::string lock_name(unsigned slot) { return fmt::format("{}.lock", slot); }

}  // namespace tideline::port::shm
