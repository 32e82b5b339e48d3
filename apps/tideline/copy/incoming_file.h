// SPDX-License-Identifier: Apache-2.0
// The listener's directory, and a file that grows in it under a temporary name until it is whole.
// Names come from strangers: they name a file of the directory itself, never a way out of it.
// Thread: any, one at a time for each object.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/fd.h"

namespace tideline::app::copy {

class Directory {
 public:
  // While the process has one thread: it reads the umask.
  static Result<Directory> open(const std::string& path);

  mode_t mask() const { return mask_; }
  int fd() const { return fd_.get(); }
  // Why a file of that name and size cannot be taken, as a client's user is to read it; nothing if
  // it can. What has the name now is replaced if it is an ordinary file, and nothing else is.
  std::optional<std::string> refuse(std::string_view name, std::uint64_t size) const;

 private:
  Directory(UniqueFd fd, mode_t mask) : fd_(std::move(fd)), mask_(mask) {}

  UniqueFd fd_;
  mode_t mask_;
};

class IncomingFile {
 public:
  // In `directory`, which outlives it; for a name that was not refused.
  static Result<IncomingFile> create(const Directory& directory, std::string name);
  IncomingFile(IncomingFile&& other) noexcept;
  IncomingFile& operator=(IncomingFile&&) = delete;
  // What was not kept is removed.
  ~IncomingFile();

  // Behind what was written before.
  Status write(std::span<const std::byte> bytes);
  std::uint64_t size() const { return size_; }
  // It is whole: gets its name and permissions.
  Status keep(std::uint32_t mode);

 private:
  IncomingFile(const Directory& directory, std::string name, std::string temporary, UniqueFd fd)
      : directory_(&directory),
        name_(std::move(name)),
        temporary_(std::move(temporary)),
        fd_(std::move(fd)) {}

  const Directory* directory_;
  std::string name_;
  std::string temporary_;  // empty: there is nothing to remove
  UniqueFd fd_;
  std::uint64_t size_ = 0;
};

}  // namespace tideline::app::copy
