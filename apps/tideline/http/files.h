// SPDX-License-Identifier: Apache-2.0
// A directory of files, for `serve`: nothing above it can be reached, neither by a path nor by a
// symbolic link (openat2 with RESOLVE_BENEATH). One thread.
#pragma once

#include <cstdint>
#include <ctime>
#include <expected>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/fd.h"

namespace tideline::app::http {

struct File {
  UniqueFd fd;
  std::uint64_t size = 0;
  std::time_t modified = 0;
  std::string tag;        // an entity tag, in quotes
  std::string_view type;  // of its content
};

class Files {
 public:
  static Result<Files> open(const std::string& directory);

  // `path` is relative, as path_of() gives it; a directory's is its index.html. The error is the
  // status to answer with: 301 (a directory without "/"), 403, 404, 503.
  std::expected<File, int> find(const std::string& path) const;

 private:
  explicit Files(UniqueFd root) : root_(std::move(root)) {}

  UniqueFd root_;
};

// "Sun, 06 Nov 1994 08:49:37 GMT".
std::string http_date(std::time_t time);

}  // namespace tideline::app::http
