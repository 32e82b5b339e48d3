// SPDX-License-Identifier: Apache-2.0
#include "placement/backing.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace tideline::placement {
namespace {

// A line of /proc/PID/maps: proc(5).
struct Line {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t offset = 0;
  std::uint64_t inode = 0;
  bool shared = false;
  std::string path;
};

std::optional<Line> parse(const char* text) {
  Line line;
  char rights[5] = {};  // NOLINT(modernize-avoid-c-arrays): for sscanf
  int path_at = 0;
  unsigned long begin = 0;
  unsigned long end = 0;
  unsigned long offset = 0;
  unsigned long inode = 0;
  // NOLINTNEXTLINE(cert-err34-c): the kernel writes it
  if (std::sscanf(text, "%lx-%lx %4s %lx %*s %lu %n", &begin, &end, rights, &offset, &inode,
                  &path_at) < 5) {
    return std::nullopt;
  }
  line.begin = begin;
  line.end = end;
  line.offset = offset;
  line.inode = inode;
  line.shared = rights[0] == 'r' && rights[1] == 'w' && rights[3] == 's';
  line.path = text + path_at;
  if (line.path.ends_with('\n')) line.path.pop_back();
  return line;
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// The mapping that begins at or before `address` and reaches to `end`, neighbours of the same file
// taken together.
std::optional<Line> find_mapping(std::uint64_t address, std::uint64_t end) {
  const std::unique_ptr<std::FILE, CloseFile> maps(std::fopen("/proc/self/maps", "re"));
  if (maps == nullptr) return std::nullopt;
  std::optional<Line> found;
  char* text = nullptr;
  std::size_t room = 0;
  while (::getline(&text, &room, maps.get()) > 0) {
    auto line = parse(text);
    if (!line || line->end <= address) continue;
    if (!found) {
      if (line->begin > address || !line->shared || line->inode == 0) break;
      found = std::move(line);
    } else {
      const bool goes_on = line->begin == found->end && line->shared &&
                           line->inode == found->inode &&
                           line->offset == found->offset + (found->end - found->begin);
      if (!goes_on) break;
      found->end = line->end;
    }
    if (found->end >= end) break;
  }
  std::free(text);  // NOLINT(cppcoreguidelines-no-malloc): getline's
  return found && found->end >= end ? std::move(found) : std::nullopt;
}

bool is_file(int fd, std::uint64_t inode) {
  struct stat status{};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_ino == inode &&
         is_in_memory(fd);
}

UniqueFd open_file(const std::string& path, std::uint64_t inode) {
  struct stat status{};
  // Looked at first: to open a device or a pipe does things.
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_ino != inode) {
    return {};
  }
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  return file && is_file(file.get(), inode) ? std::move(file) : UniqueFd();
}

// A memfd has no path, but the program may still have its descriptor.
UniqueFd open_by_descriptor(std::uint64_t inode) {
  const std::unique_ptr<DIR, CloseDirectory> fds(::opendir("/proc/self/fd"));
  if (fds == nullptr) return {};
  while (const dirent* entry = ::readdir(fds.get())) {  // NOLINT(concurrency-mt-unsafe): own stream
    const std::string name = entry->d_name;
    if (name.starts_with('.')) continue;
    if (UniqueFd file = open_file("/proc/self/fd/" + name, inode)) return file;
  }
  return {};
}

}  // namespace

bool is_in_memory(int fd) {
  struct statfs system{};
  return ::fstatfs(fd, &system) == 0 && system.f_type == TMPFS_MAGIC;
}

std::optional<Backing> find_backing(std::uint64_t address, std::uint64_t length) {
  auto mapping = find_mapping(address, address + length);
  if (!mapping) return std::nullopt;
  UniqueFd file = open_file(mapping->path, mapping->inode);
  if (!file) file = open_by_descriptor(mapping->inode);
  if (!file) return std::nullopt;
  return Backing{.file = std::move(file),
                 .offset = mapping->offset + (address - mapping->begin),
                 .inode = mapping->inode};
}

}  // namespace tideline::placement
