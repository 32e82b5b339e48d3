// SPDX-License-Identifier: Apache-2.0
// A directory of a test's or a run's own under /tmp, removed with all it contains. One thread.
#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <string>

#include "base/check.h"

namespace bench {

class TestDirectory {
 public:
  TestDirectory() : path_("/tmp/tideline-test-XXXXXX"), owner_(::getpid()) {
    CHECK(::mkdtemp(path_.data()) != nullptr);
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  ~TestDirectory() {
    if (owner_ != ::getpid()) return;
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::size_t files() const {
    const auto all = std::filesystem::directory_iterator(path_);
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
  }

 private:
  std::string path_;
  pid_t owner_;
};

}  // namespace bench
