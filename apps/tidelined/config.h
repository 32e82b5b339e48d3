// SPDX-License-Identifier: Apache-2.0
// What tidelined is told: a TOML file (example.toml is one, with every key), or the options of the
// command line. Nothing of it has been tried on this machine yet, but everything has been read: a
// word that has no meaning is an error with its line.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "engine/attachment.h"
#include "policy.h"

namespace tideline::daemon {

inline constexpr const char* kDefaultName = "default";

struct HostConfig {
  std::string name = kDefaultName;
  engine::AttachmentOptions attachment{};
  std::size_t connections = 65536;  // at most, TIME-WAIT included
  std::string socket{};             // where programs attach; empty: in the front end's directory
};

struct Config {
  std::string name = kDefaultName;
  std::string user{};   // to become once the wires are open; empty: who started it
  std::string group{};  // empty: the user's
  std::string log = "info";
  Duration stop_timeout = std::chrono::seconds(5);  // for programs to finish
  std::vector<HostConfig> hosts{};
  PolicyConfig policy{};
};

struct Group {
  gid_t id = 0;
  std::vector<uid_t> members{};
};

// Users and groups by their names, as the machine has them.
class Accounts {
 public:
  virtual ~Accounts() = default;
  virtual std::optional<uid_t> user(const std::string& name) const = 0;
  virtual std::optional<Group> group(const std::string& name) const = 0;
};

// Letters, digits, dots, dashes and underscores, for a name becomes part of a path.
Status check_name(std::string_view name, const char* whose);

// `file` is for errors: "FILE:LINE: what is wrong; what to do".
Result<Config> parse_config(std::string_view text, const std::string& file,
                            const Accounts& accounts);
Result<Config> read_config(const std::string& path, const Accounts& accounts);

}  // namespace tideline::daemon
