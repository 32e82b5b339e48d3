// SPDX-License-Identifier: Apache-2.0
#include "place.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "config.h"
#include "control/place.h"
#include "port/shm/meeting_point.h"

namespace tideline::daemon {
namespace {

constexpr int kBacklog = 4096;  // programs that attach at the same time; the kernel allows so many

struct flock whole_file(short type) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  return lock;
}

int read_pid(int lock) {
  std::array<char, 16> text{};
  int pid = 0;
  const ssize_t size = ::pread(lock, text.data(), text.size(), 0);
  if (size > 0) std::from_chars(text.data(), text.data() + size, pid);
  return pid;
}

// Who may pass through, as well.
Status add_mode(int directory, mode_t mode) {
  struct stat status{};
  if (::fstat(directory, &status) != 0 ||
      ((status.st_mode & mode) != mode &&
       ::fchmod(directory, (status.st_mode & 07777) | mode) != 0)) {
    return fail_errno("cannot let other users into the front end's directory");
  }
  return {};
}

// Made by this user, or given by it to the user of an earlier front end.
Result<UniqueFd> open_sockets(int above, const std::string& name, const std::string& path) {
  if (::mkdirat(above, name.c_str(), 0755) != 0 && errno != EEXIST) {
    return fail_errno(fmt::format("cannot make the directory '{}'", path));
  }
  UniqueFd fd(::openat(above, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno(fmt::format("cannot open the directory '{}'", path));
  if (::fchown(fd.get(), ::geteuid(), ::getegid()) != 0 || ::fchmod(fd.get(), 0755) != 0) {
    return fail_errno(fmt::format("cannot own the directory '{}'", path),
                      fmt::format("remove it: rm -r '{}'", path));
  }
  return fd;
}

// A socket that nobody listens to any more.
Status remove_stale(const sockaddr_un& address, const std::string& shown) {
  struct stat status{};
  if (::lstat(address.sun_path, &status) != 0) return {};
  const UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const bool refused =
      S_ISSOCK(status.st_mode) &&
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 &&
      errno == ECONNREFUSED;
  if (refused && ::unlink(address.sun_path) == 0) return {};
  return fail({.what = fmt::format("'{}' is something else already", shown),
               .remedy = "choose another path, or remove what is there"});
}

void remove_all_sockets(int directory) {
  for (const std::string& name : control::sockets_in(directory)) {
    ::unlinkat(directory, name.c_str(), 0);
  }
}

}  // namespace

Result<Place> Place::take(const std::string& name) {
  auto place = port::shm::user_place();
  if (!place) return fail(std::move(place.error()));
  const std::string above_path = *place + std::string(control::kFrontEnds);
  auto above = port::shm::open_own_directory(above_path);
  if (!above) return fail(std::move(above.error()));
  const std::string lock_name = name + ".lock";
  UniqueFd lock(
      ::openat(above->get(), lock_name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!lock) return fail_errno(fmt::format("cannot open '{}/{}'", above_path, lock_name));
  struct flock wanted = whole_file(F_WRLCK);
  if (::fcntl(lock.get(), F_OFD_SETLK, &wanted) != 0) {
    return fail({.kind = ErrorKind::kEnvironment,
                 .what = fmt::format("a front end '{}' runs already (process {})", name,
                                     read_pid(lock.get())),
                 .remedy = fmt::format("stop it (tideline down --name {}), or give this one "
                                       "another name (--name)",
                                       name)});
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(lock.get(), 0) != 0 ||
      ::pwrite(lock.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return fail_errno(fmt::format("cannot write '{}/{}'", above_path, lock_name));
  }
  std::string path = fmt::format("{}/{}", above_path, name);
  auto directory = open_sockets(above->get(), name, path);
  if (!directory) return fail(std::move(directory.error()));
  remove_all_sockets(directory->get());
  ::unlinkat(directory->get(), "log", 0);
  // The last front end's user may have been another.
  const UniqueFd control(
      ::openat(directory->get(), ".control", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (control) remove_all_sockets(control.get());
  ::unlinkat(directory->get(), ".control", AT_REMOVEDIR);
  return Place(std::move(path), std::move(*above), std::move(lock), std::move(*directory));
}

Result<UniqueFd> Place::listen(const std::string& host, const std::string& path) {
  const std::string shown = path.empty() ? fmt::format("{}/{}.sock", path_, host) : path;
  // However long the path of the directory is.
  const std::string short_path =
      path.empty() ? control::path_in(directory_.get(), host + ".sock") : path;
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (short_path.size() >= sizeof(address.sun_path)) {
    return fail({.what = fmt::format("the path of a socket is too long: '{}'", shown)});
  }
  std::memcpy(address.sun_path, short_path.c_str(), short_path.size() + 1);
  if (Status s = remove_stale(address, shown); !s) return fail(std::move(s.error()));
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return fail_errno(fmt::format("cannot listen at '{}'", shown));
  }
  sockets_.push_back(short_path);
  if (::chmod(short_path.c_str(), 0666) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    return fail_errno(fmt::format("cannot listen at '{}'", shown));
  }
  return fd;
}

void Place::remove_sockets() {
  for (const std::string& path : sockets_) ::unlink(path.c_str());
  sockets_.clear();
}

Status Place::hand_over(uid_t user, gid_t group) const {
  if (::fchown(directory_.get(), user, group) == 0) return {};
  return fail_errno(fmt::format("cannot give '{}' to user {}", path_, user));
}

Status Place::open_to_others() const {
  if (Status s = add_mode(above_.get(), S_IXGRP | S_IXOTH); !s) return s;
  const UniqueFd place(::openat(above_.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!place) return fail_errno(fmt::format("cannot open the directory above '{}'", path_));
  return add_mode(place.get(), S_IXGRP | S_IXOTH);
}

std::optional<Running> find_running(const std::string& name) {
  for (const std::string& place : port::shm::user_places()) {
    const std::string path = fmt::format("{}{}/{}", place, control::kFrontEnds, name);
    const std::string lock = path + ".lock";
    const UniqueFd fd(::open(lock.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (fd && is_running(lock))
      return Running{.pid = read_pid(fd.get()), .path = path, .lock = lock};
  }
  return std::nullopt;
}

Result<std::string> find_socket(const std::string& name, const std::string& host) {
  if (name.find('/') != std::string::npos) return name;
  const auto running = find_running(name);
  if (!running) {
    return fail({.what = fmt::format("no front end '{}' runs", name),
                 .remedy = fmt::format("start it: tideline up --name {}", name)});
  }
  const UniqueFd directory(::open(running->path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::vector<std::string> hosts;
  if (directory) hosts = control::sockets_in(directory.get());
  for (std::string& each : hosts) each.resize(each.size() - control::kSocketSuffix.size());
  std::string wanted = host.empty() ? kDefaultName : host;
  if (host.empty() && hosts.size() == 1) wanted = hosts.front();
  if (std::ranges::find(hosts, wanted) != hosts.end()) {
    return fmt::format("{}/{}{}", running->path, wanted, control::kSocketSuffix);
  }
  std::ranges::sort(hosts);
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("the front end '{}' has no host '{}' here", name, wanted),
               .remedy = hosts.empty()
                             ? "its hosts have sockets elsewhere: give the path of one as --name"
                             : fmt::format("choose one with --host: {}", fmt::join(hosts, ", "))});
}

bool is_running(const std::string& lock) {
  const UniqueFd fd(::open(lock.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return errno != ENOENT;
  struct flock other = whole_file(F_RDLCK);
  return ::fcntl(fd.get(), F_OFD_GETLK, &other) == 0 && other.l_type != F_UNLCK;
}

}  // namespace tideline::daemon
