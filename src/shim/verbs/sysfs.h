// SPDX-License-Identifier: Apache-2.0
// What the kernel would show of the device in /sys/class/infiniband, /sys/class/infiniband_verbs
// and /dev/infiniband: a tree of paths and the text behind them. file_calls.cc answers programs
// with it. Layout and formats: Linux, Documentation/ABI/stable/sysfs-class-infiniband. There are no
// symbolic links in it, so a path is its own canonical form.
//
// Thread: any; the tree never changes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rdma/address.h"

namespace tideline::shim::verbs {

// What is known once the engine runs.
struct DeviceFacts {
  std::uint64_t node_guid = 0;
  std::uint16_t lid = 0;
  const rdma::GidTable* gids = nullptr;
  std::string interface;  // the kernel's name of what carries the wire; empty if nothing does
};

enum class PathKind : std::uint8_t {
  kMissing,
  kDirectory,
  kFile,
  kDevice,  // a character device
};

// The path without "//", "/./", ".." and a slash at its end, if it is absolute and below one of our
// folders or one itself; otherwise empty. Cheap for all others.
std::string own_path(const char* path);

// From here on the path is one that own_path() has returned.
PathKind kind_of(std::string_view path);
// Names in a directory, without "." and "..", in order.
std::vector<std::string> names_in(std::string_view path);

// Whether facts are needed to tell what is in the file.
bool needs_facts(std::string_view path);
// The content of a file. Nothing where the kernel's would fail with EINVAL: an attribute of a GID
// that does not exist, or is behind no interface.
std::optional<std::string> text_of(std::string_view path, const DeviceFacts& facts);

}  // namespace tideline::shim::verbs
