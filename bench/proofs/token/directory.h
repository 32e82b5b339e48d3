// SPDX-License-Identifier: Apache-2.0
// The directory in /tmp in which a run of the proof keeps its files. Removed at the end; what a run
// that was killed left behind is removed by the next one. One thread.
#pragma once

#include <string>

#include "base/fd.h"

namespace proofs::token {

class Directory {
 public:
  Directory();
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  // Holds a lock on the directory for as long as its owner, or a child that it forked, lives.
  tideline::UniqueFd lock_;
};

}  // namespace proofs::token
