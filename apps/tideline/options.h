// SPDX-License-Identifier: Apache-2.0
// The options of the commands, as the user gives them, and their form on the command line.
#pragma once

#include <CLI/CLI.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tideline::app {

// Exit statuses, the same for all commands.
enum Exit : int {
  kDone = 0,
  kNegative = 1,     // lost, or differs
  kUsage = 2,        //
  kEnvironment = 3,  // this machine lacks something
  kPeerFailed = 4,
};

struct WireOptions {
  std::string wire = "shm:default";
  std::vector<std::string> ip4;
  std::vector<std::string> ip6;
  std::vector<std::string> gateways;
  std::size_t mtu = 0;  // 0: the wire's
  std::string impair;
  std::optional<std::uint64_t> seed;
  double duration = 0;  // seconds; 0 is without limit
  std::string capture;
  bool json = false;
  bool promiscuous = false;  // see frames for other stations too, where the wire must be asked
  std::string leased;        // the addresses that came with the wire; filled in by the session
};

struct PingOptions {
  std::string host;
  std::uint64_t count = 0;  // 0: until stopped
  std::size_t size = 56;
  double interval = 1;
};

struct CaptureOptions {
  std::string file;
  std::uint64_t count = 0;
};

struct UdpBlastOptions {
  std::string host;  // empty with `listen`
  bool listen = false;
  bool kernel = false;      // over sockets of the kernel's, without a wire
  bool no_offload = false;  // every datagram in a packet of its own
  std::size_t size = 1400;
  std::string rate;         // empty: as fast as possible
  std::uint64_t count = 0;  // datagrams, or reports of a sink; 0 is without limit
};

// What every command on a wire has, and what those with a host have beside it.
void add_wire_options(CLI::App& command, WireOptions& options);
void add_host_options(CLI::App& command, WireOptions& options);

}  // namespace tideline::app
