// SPDX-License-Identifier: Apache-2.0
#include "control/place.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "port/shm/meeting_point.h"

namespace tideline::control {
namespace {

constexpr const char* kFolder = "/.control";

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

std::vector<std::string> entries_of(int directory) {
  std::vector<std::string> names;
  const int copy = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, CloseDirectory> entries(copy < 0 ? nullptr : ::fdopendir(copy));
  if (entries == nullptr) {
    if (copy >= 0) ::close(copy);
    return names;
  }
  while (const dirent* entry = ::readdir(entries.get())) {  // NOLINT(concurrency-mt-unsafe): ours
    names.emplace_back(entry->d_name);
  }
  return names;
}

std::vector<std::string> entries_of(const char* path) {
  const UniqueFd directory(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return directory ? entries_of(directory.get()) : std::vector<std::string>();
}

bool is_gone(int pid) { return pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH; }

}  // namespace

Result<UniqueFd> open_place() {
  auto place = port::shm::user_place();
  if (!place) return fail(std::move(place.error()));
  return port::shm::open_own_directory(*place + kFolder);
}

Result<UniqueFd> open_place_in(int directory) {
  return port::shm::open_own_directory(path_in(directory, kFolder + 1));
}

std::vector<std::string> all_places() {
  std::vector<std::string> places = port::shm::user_places();
  if (::geteuid() == 0) {
    for (const std::string& user : entries_of("/run/user")) {
      if (!user.starts_with('.')) places.push_back(fmt::format("/run/user/{}/tideline", user));
    }
    for (const std::string& name : entries_of("/tmp")) {
      if (name.starts_with("tideline-")) places.push_back("/tmp/" + name);
    }
  }
  std::vector<std::string> all;
  const auto add = [&](std::string path) {
    if (std::ranges::find(all, path) == all.end()) all.push_back(std::move(path));
  };
  for (const std::string& place : places) {
    add(place + kFolder);
    const std::string front_ends = place + std::string(kFrontEnds);
    for (const std::string& name : entries_of(front_ends.c_str())) {
      if (!name.starts_with('.')) add(fmt::format("{}/{}{}", front_ends, name, kFolder));
    }
  }
  return all;
}

std::string path_in(int directory, std::string_view name) {
  return fmt::format("/proc/self/fd/{}/{}", directory, name);
}

std::vector<std::string> sockets_in(int directory) {
  std::vector<std::string> names = entries_of(directory);
  std::erase_if(names, [](const std::string& name) {
    return name.starts_with('.') || !name.ends_with(kSocketSuffix);
  });
  return names;
}

Result<Connection> connect_to(int directory, const std::string& name) {
  const std::string path = path_in(directory, name);
  struct stat status{};
  // Never through a link: root asks in directories of others.
  if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 ||
      !S_ISSOCK(status.st_mode)) {
    errno = ENOENT;
    return fail_errno("there is no socket " + name);
  }
  Connection connection{.fd = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0))};
  if (!connection.fd) return fail_errno("cannot make a socket");
  const int fd = connection.fd.get();
  constexpr timeval kPatience{.tv_sec = 2, .tv_usec = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof(kPatience));
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  if (path.size() >= sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    return fail_errno("cannot connect to " + name);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const bool connected =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ucred listener{};
  socklen_t size = sizeof(listener);
  if (connected) {
    ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &size);
    connection.pid = listener.pid;
  }
  // A child that the process has forked may hold its socket for longer than it lives.
  const bool stale = connected ? is_gone(listener.pid) : errno == ECONNREFUSED;
  if (stale) {
    ::unlinkat(directory, name.c_str(), 0);
    errno = ECONNREFUSED;
  }
  if (connected && !stale) return connection;
  return fail_errno("cannot connect to " + name);
}

}  // namespace tideline::control
