// SPDX-License-Identifier: Apache-2.0
// Whether memory of this process is a shared mapping of a file in memory (memfd, POSIX shared
// memory, a file on tmpfs), which other processes can map, too. Reads /proc/self/maps: for
// registration, not for the data path. Thread: any.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/fd.h"

namespace tideline::placement {

// Files by device and inode, as long as somebody holds them: many regions lie in one.
using OpenFiles = std::map<std::pair<dev_t, ino_t>, std::weak_ptr<const UniqueFd>>;

struct Backing {
  std::shared_ptr<const UniqueFd> file;  // for reading and writing
  std::uint64_t offset = 0;              // of the first byte
  std::uint64_t inode = 0;
};

// None if any part of the range is something else, or the file cannot be opened any more.
std::optional<Backing> find_backing(std::uint64_t address, std::uint64_t length,
                                    OpenFiles& open_files);

// Whether a descriptor is of a file that lies in memory.
bool is_in_memory(int fd);

}  // namespace tideline::placement
