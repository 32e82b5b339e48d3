// SPDX-License-Identifier: Apache-2.0
// The options of the commands, as the user gives them, and their form on the command line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/attachment.h"

namespace CLI {
class App;
}

namespace tideline::app {

// Exit statuses, the same for all commands.
enum Exit : int {
  kDone = 0,
  kNegative = 1,     // lost, or differs
  kUsage = 2,        //
  kEnvironment = 3,  // this machine lacks something
  kPeerFailed = 4,
};

int exit_status(ErrorKind kind);

struct WireOptions : engine::AttachmentOptions {
  double duration = 0;  // seconds; 0 is without limit
  bool json = false;
  std::string placement = "app";  // or "frontend"
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

struct PerfOptions {
  std::string host;  // empty with `listen`
  bool listen = false;
  bool kernel = false;  // over sockets of the kernel's, without a wire
  bool copy = false;    // into and out of the engine's buffers
  bool poll = false;    // never sleep
  std::string mode = "stream";
  unsigned streams = 1;
  std::size_t size = 0;    // 0: the mode's
  std::size_t buffer = 0;  // bytes of a stream's two buffers; 0: the engine's choice
  std::string congestion = "cubic";
};

struct ServeOptions {
  std::string directory;
  std::uint16_t port = 80;
};

struct GetOptions {
  std::string url;
  std::string output;  // empty: the last part of the URL's path; "-": standard output
};

struct CopyOptions {
  std::string listen;  // a directory; otherwise:
  std::string file;
  std::string target;  // HOST:NAME
};

struct StatusOptions {
  int pid = 0;          // 0: all
  std::string name;     // of a front end; empty: all
  double interval = 1;  // seconds, for rates
  bool json = false;
};

struct UpOptions {
  std::string config;  // a file; empty: one host, of the options
  std::string name;    // empty: the configuration's, or "default"
};

struct DownOptions {
  std::string name = "default";
  double timeout = 60;  // seconds
  bool json = false;
};

struct RunOptions {
  std::vector<std::string> program;  // and its arguments
  // With placement `frontend`:
  std::string front_end = "default";  // its name, or the path of a host's socket
  std::string host;                   // empty: its "default", or its only one
  bool strict = false;
  bool localhost = false;
  bool stats = false;
};

struct RelayOptions {
  std::vector<std::string> wires;  // two
};

struct CompareOptions {
  bool quick = false;
  bool json = false;
  std::string html;                     // a file; empty: no report
  std::vector<std::string> placements;  // empty: all
  std::vector<std::string> files;       // workloads of the user's own
  std::vector<std::string> names;       // of workloads; empty: the files', or all built-in ones
  unsigned seconds = 0;                 // of a run; 0: as quick says
  unsigned rounds = 0;                  // likewise
};

struct HelpOptions {
  std::string command;    // empty: all
  std::string directory;  // for all manual pages; empty: one, to standard output
  std::string shell;
  const CLI::App* parser = nullptr;
};

// What every command on wires has but for naming them; spoiling and capturing what they carry.
void add_link_options(CLI::App& command, WireOptions& options);
void add_impair_options(CLI::App& command, WireOptions& options);
// Of commands whose host has TCP connections.
void add_tcp_options(CLI::App& command, WireOptions& options);

// What every command on a wire has, and what those with a host have beside it.
void add_wire_options(CLI::App& command, WireOptions& options);
void add_host_options(CLI::App& command, WireOptions& options);
// Of a front end: a configuration, or options for its one host.
void add_front_end_options(CLI::App& command, WireOptions& options, std::string& config,
                           std::string& name);

}  // namespace tideline::app
