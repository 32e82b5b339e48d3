// SPDX-License-Identifier: Apache-2.0
// What the command line takes, command by command: CLI11's parsers, and what they fill. main.cc
// adds all commands and runs the one that was given. Only the sources here, main.cc, options.cc and
// help/description.cc see CLI11, which takes seconds to compile.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <vector>

#include "commands.h"

namespace tideline::app {

// How the commands are shown together.
inline constexpr const char* kLook = "Look around";
inline constexpr const char* kPrograms = "Run programs, unmodified";
inline constexpr const char* kWire = "Try a wire";
inline constexpr const char* kFiles = "Move files";
inline constexpr const char* kHelp = "Help";

inline constexpr const char* kExitStatus =
    "Exit status: 0 done; 1 lost or differs; 2 usage; 3 this machine lacks something; 4 the peer "
    "failed";

struct Arguments {
  WireOptions wire;
  PingOptions ping;
  CaptureOptions capture;
  UdpBlastOptions blast;
  RelayOptions relay;
  RunOptions run;
  PerfOptions perf;
  ServeOptions serve;
  GetOptions get;
  CopyOptions copy;
  StatusOptions status;
  UpOptions up;
  DownOptions down;
  CompareOptions compare;
  HelpOptions help;
};

// One of the commands: what it is called with, and what it does.
struct Command {
  CLI::App* parser;
  int (*run)(const Arguments& arguments);
};

// With its examples and the exit statuses.
CLI::App* add_command(CLI::App& app, const char* group, const char* name, const char* text);

// Values that are offered; which may be given, the command knows.
class Offered : public CLI::Validator {
 public:
  explicit Offered(std::function<std::vector<std::string>()> list);
};

// wire_commands.cc
Command add_ping(CLI::App& app, Arguments& arguments);
Command add_echo(CLI::App& app, Arguments& arguments);
Command add_capture(CLI::App& app, Arguments& arguments);
Command add_relay(CLI::App& app, Arguments& arguments);
Command add_udp_blast(CLI::App& app, Arguments& arguments);
Command add_perf(CLI::App& app, Arguments& arguments);

// look_commands.cc
Command add_ports(CLI::App& app, Arguments& arguments);
Command add_doctor(CLI::App& app, Arguments& arguments);
Command add_devices(CLI::App& app, Arguments& arguments);
Command add_status(CLI::App& app, Arguments& arguments);

// file_commands.cc
Command add_serve(CLI::App& app, Arguments& arguments);
Command add_get(CLI::App& app, Arguments& arguments);
Command add_copy(CLI::App& app, Arguments& arguments);

// program_commands.cc
Command add_run(CLI::App& app, Arguments& arguments);
Command add_up(CLI::App& app, Arguments& arguments);
Command add_down(CLI::App& app, Arguments& arguments);
Command add_compare(CLI::App& app, Arguments& arguments);

// help_commands.cc
Command add_man(CLI::App& app, Arguments& arguments);
Command add_completion(CLI::App& app, Arguments& arguments);

}  // namespace tideline::app
