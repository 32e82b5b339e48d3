// SPDX-License-Identifier: Apache-2.0
#include "copy/incoming_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "copy/message.h"
#include "engine/attachment.h"

namespace tideline::app::copy {
namespace {

bool is_printable(std::string_view name) { return printable(name) == name; }

}  // namespace

Result<Directory> Directory::open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("cannot take files in " + path);
  if (::faccessat(fd.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
    return fail_errno("cannot take files in " + path);
  }
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return Directory(std::move(fd), mask);
}

std::optional<std::string> Directory::refuse(std::string_view name, std::uint64_t size) const {
  const auto because = [&](std::string_view why) {
    return fmt::format("'{}' is no name for a file here: {}", printable(name), why);
  };
  if (name.empty()) return because("it is empty");
  if (name.size() > kMaxName) return because("it is too long");
  if (name.find('/') != std::string_view::npos) return because("it has a slash");
  if (name.front() == '.') return because("it begins with a dot");
  if (!is_printable(name)) return because("it has control characters");
  struct stat status{};
  if (::fstatat(fd_.get(), std::string(name).c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISDIR(status.st_mode)) return because("a directory has it");
    if (S_ISLNK(status.st_mode)) return because("a symbolic link has it");
    if (!S_ISREG(status.st_mode)) return because("something that is no file has it");
  } else if (errno != ENOENT) {
    return because("what has it cannot be looked at");
  }
  struct statvfs space{};
  if (::fstatvfs(fd_.get(), &space) == 0 && size / space.f_frsize > space.f_bavail) {
    return fmt::format("there is no room for {} bytes: {} are free", size,
                       space.f_bavail * space.f_frsize);
  }
  return std::nullopt;
}

Result<IncomingFile> IncomingFile::create(const Directory& directory, std::string name) {
  // Clients cannot choose names that begin with a dot.
  std::string temporary = fmt::format(".tideline-{:016x}.part", engine::random_seed());
  UniqueFd fd(::openat(directory.fd(), temporary.c_str(),
                       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return fail_errno(fmt::format("cannot make a file for '{}'", name));
  return IncomingFile(directory, std::move(name), std::move(temporary), std::move(fd));
}

IncomingFile::IncomingFile(IncomingFile&& other) noexcept
    : directory_(other.directory_),
      name_(std::move(other.name_)),
      temporary_(std::exchange(other.temporary_, {})),
      fd_(std::move(other.fd_)),
      size_(other.size_) {}

IncomingFile::~IncomingFile() {
  if (!temporary_.empty()) ::unlinkat(directory_->fd(), temporary_.c_str(), 0);
}

Status IncomingFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t size = ::write(fd_.get(), bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno(fmt::format("cannot write '{}'", name_));
    bytes = bytes.subspan(static_cast<std::size_t>(size));
    size_ += static_cast<std::uint64_t>(size);
  }
  return {};
}

Status IncomingFile::keep(std::uint32_t mode) {
  const mode_t permissions = (mode | S_IRUSR | S_IWUSR) & 0777 & ~directory_->mask();
  // close() tells what a file system on the network could not write.
  const bool closed = ::fchmod(fd_.get(), permissions) == 0 && ::close(fd_.release()) == 0;
  // Over a link it replaces the link; over a directory it fails.
  if (!closed ||
      ::renameat(directory_->fd(), temporary_.c_str(), directory_->fd(), name_.c_str()) != 0) {
    return fail_errno(fmt::format("cannot keep '{}'", name_));
  }
  temporary_.clear();
  return {};
}

}  // namespace tideline::app::copy
