// SPDX-License-Identifier: Apache-2.0
// What a script sets before it begins: the host's addresses, and how its TCP behaves. From
// --so_flags, "NAME[=VALUE],..", and from a file of lines NAME=VALUE, in which a stand-in for
// sysctl and tc leaves what scripts ask them for. README.md lists the names. Thread: any.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/time.h"
#include "engine/host.h"

namespace tideline::shim::packetdrill {

struct Knobs {
  // An unknown name, or a value that does not parse, is an error.
  static Result<Knobs> parse(std::string_view flags);
  // Of the file; what is not known there is passed over, for scripts set much that is Linux's.
  void take_lines(std::string_view text);

  engine::HostOptions host{.leased_addresses = true, .configure_ipv6 = false};
  bool real_time = false;
  std::string file{};                              // empty: none
  Duration patience = std::chrono::seconds(60);  // for a packet, before the script is given up
  bool reno = false;
  bool wire_is_full = false;  // nothing leaves

 private:
  // Whether the name is known, or an error.
  Result<bool> take(std::string_view name, std::string_view value);
  Result<bool> take_sysctl(std::string_view name, std::string_view value);
};

}  // namespace tideline::shim::packetdrill
