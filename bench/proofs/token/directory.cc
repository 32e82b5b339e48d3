// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "base/check.h"

namespace proofs::token {
namespace {

using tideline::UniqueFd;

// Nothing if somebody else holds it, or it is gone.
UniqueFd lock(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat now{};
  if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 || ::stat(path.c_str(), &now) != 0) {
    return {};
  }
  return fd;
}

void remove(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

void remove_stale() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/tmp", ignored)) {
    if (!entry.path().filename().string().starts_with("tideline-token-")) continue;
    if (const UniqueFd held = lock(entry.path())) remove(entry.path());
  }
}

}  // namespace

Directory::Directory() {
  remove_stale();
  do {  // another run may take it for a stale one before it is locked
    path_ = "/tmp/tideline-token-XXXXXX";
    CHECK(::mkdtemp(path_.data()) != nullptr, "errno {}", errno);
    lock_ = lock(path_);
  } while (!lock_);
  CHECK(::chmod(path_.c_str(), 0755) == 0, "errno {}", errno);  // a server may change its user
}

Directory::~Directory() { remove(path_); }

}  // namespace proofs::token
