// SPDX-License-Identifier: Apache-2.0
// What a program behind a queue pair may do, and what is known of it. Thread: any.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "wire/ip_address.h"

namespace tideline::engine {

struct ClientPolicy {
  bool admitted = false;
  std::string reason{};  // why not
  // That may be bound and sent from, IPv4 mapped; none: all that the host has.
  std::vector<wire::Ipv6Prefix> addresses{};
  std::uint16_t first_port = 1;  // that may be bound; ports that are chosen for it always may
  std::uint16_t last_port = 65535;
  std::size_t most_sockets = 65535;                     // of a process and its children
  std::size_t most_memory = std::size_t{1} << 30;       // bytes of FIFOs, likewise
  std::size_t most_channels = 256;                      // of a user: processes
  std::size_t most_descriptors = std::size_t{8} << 10;  // of a user: of the engine's own
  std::size_t most_queue_pairs = 1024;                  // of a user; of each other object of verbs,
                                                        // all kinds together, eight times as many
  std::size_t most_registered = std::size_t{64} << 30;  // of a user: bytes of memory regions
};

struct ClientInfo {
  pid_t pid = 0;  // of a forked child: its parent's
  uid_t uid = 0;
  gid_t gid = 0;
  std::string program{};
  std::uint16_t channel = 0;
  std::uint32_t family = 0;
  std::size_t sockets = 0;
  std::size_t memory = 0;  // bytes of FIFOs of its family
  std::size_t most_sockets = 0;
  std::size_t most_memory = 0;
  std::uint64_t calls = 0;
};

}  // namespace tideline::engine
