// SPDX-License-Identifier: Apache-2.0
#include "placement/backing.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace tideline::placement {
namespace {

// A line of /proc/PID/maps: proc(5).
struct Line {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t offset = 0;
  dev_t device = 0;
  ino_t inode = 0;
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
  unsigned major_number = 0;
  unsigned minor_number = 0;
  // NOLINTNEXTLINE(cert-err34-c): the kernel writes it
  if (std::sscanf(text, "%lx-%lx %4s %lx %x:%x %lu %n", &begin, &end, rights, &offset,
                  &major_number, &minor_number, &inode, &path_at) < 7) {
    return std::nullopt;
  }
  line.begin = begin;
  line.end = end;
  line.offset = offset;
  line.device = ::makedev(major_number, minor_number);
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
                           line->device == found->device && line->inode == found->inode &&
                           line->offset == found->offset + (found->end - found->begin);
      if (!goes_on) break;
      found->end = line->end;
    }
    if (found->end >= end) break;
  }
  std::free(text);  // NOLINT(cppcoreguidelines-no-malloc): getline's
  return found && found->end >= end ? std::move(found) : std::nullopt;
}

bool is_file_of(const Line& line, const struct stat& status) {
  return S_ISREG(status.st_mode) && status.st_dev == line.device && status.st_ino == line.inode;
}

UniqueFd open_file(const std::string& path, const Line& line) {
  struct stat status{};
  // Looked at first: to open a device or a pipe does things.
  if (::stat(path.c_str(), &status) != 0 || !is_file_of(line, status)) return {};
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  const bool same = file && ::fstat(file.get(), &status) == 0 && is_file_of(line, status) &&
                    is_in_memory(file.get());
  return same ? std::move(file) : UniqueFd();
}

// A memfd has no path, but the program may still have its descriptor. System V and anonymous shared
// memory have numbers of their own that a memfd may have, too: only the name tells them apart.
UniqueFd open_by_descriptor(const Line& line) {
  const std::unique_ptr<DIR, CloseDirectory> fds(::opendir("/proc/self/fd"));
  if (fds == nullptr) return {};
  while (const dirent* entry = ::readdir(fds.get())) {  // NOLINT(concurrency-mt-unsafe): own stream
    const std::string name = entry->d_name;
    if (name.starts_with('.')) continue;
    const std::string path = "/proc/self/fd/" + name;
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
    if (size < 0 || line.path != std::string_view(target.data(), static_cast<std::size_t>(size))) {
      continue;
    }
    if (UniqueFd file = open_file(path, line)) return file;
  }
  return {};
}

}  // namespace

bool is_in_memory(int fd) {
  struct statfs system{};
  return ::fstatfs(fd, &system) == 0 && system.f_type == TMPFS_MAGIC;
}

std::optional<Backing> find_backing(std::uint64_t address, std::uint64_t length,
                                    OpenFiles& open_files) {
  auto mapping = find_mapping(address, address + length);
  if (!mapping) return std::nullopt;
  const std::pair number(mapping->device, mapping->inode);
  const auto known = open_files.find(number);
  std::shared_ptr<const UniqueFd> file = known == open_files.end() ? nullptr : known->second.lock();
  if (file == nullptr) {
    UniqueFd opened = open_file(mapping->path, *mapping);
    if (!opened) opened = open_by_descriptor(*mapping);
    std::erase_if(open_files, [](const auto& entry) { return entry.second.expired(); });
    if (!opened) return std::nullopt;
    file = std::make_shared<const UniqueFd>(std::move(opened));
    open_files[number] = file;
  }
  return Backing{.file = std::move(file),
                 .offset = mapping->offset + (address - mapping->begin),
                 .inode = mapping->inode};
}

}  // namespace tideline::placement
