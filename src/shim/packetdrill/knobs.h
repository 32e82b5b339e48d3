// SPDX-License-Identifier: Apache-2.0
// What a script sets before it begins: the host's addresses, and how its TCP behaves. From
// --so_flags, "NAME[=VALUE],..", and if these say so from the kernel: scripts set sysctls of TCP in
// their network namespace, and find that tideline goes by them. README.md lists the names. Thread:
// any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "engine/host.h"

namespace tideline::shim::packetdrill {

struct Knobs {
  // An unknown name, or a value that does not parse, is an error.
  static Result<Knobs> parse(std::string_view flags);
  // What the kernel's sysctls say, as far as they are known here.
  void take_sysctls();

  engine::HostOptions host{.leased_addresses = true,
                           .configure_ipv6 = false,
                           .tcp = {.mtu_probing = tcp::MtuProbing::kOff}};  // as Linux has it
  bool real_time = false;
  bool sysctls = false;                          // take_sysctls() before the engine starts
  Duration patience = std::chrono::seconds(60);  // for a packet, before the script is given up
  std::string congestion;                        // of new streams; empty: the usual
  std::vector<std::string> available{};          // congestion control that there is; empty: all
  std::vector<std::string> allowed{};            // and that a program may choose; empty: all
  bool pacing = false;
  std::uint32_t initial_receive_segments = 0;  // of the first window that is told; 0: the usual

  // Whether a program may choose it: 0, or errno.
  int judge_algorithm(std::string_view name) const;

 private:
  Status take(std::string_view name, std::string_view value);
  Status take_sysctl(std::string_view name, std::string_view value);
};

}  // namespace tideline::shim::packetdrill
