// SPDX-License-Identifier: Apache-2.0
// `tideline`: the overview, and the command that was given.
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "command_line/command_line.h"
#include "failure.h"
#include "help/description.h"
#include "help/examples.h"

namespace tideline::app {
namespace {

constexpr const char* kOverview =
    R"(tideline runs unmodified programs on its own TCP/IP and RDMA, in user space.
To begin with:
  tideline doctor              what this machine offers, and how to mend what it lacks
  tideline run -- nc -l 5000   a program on an address of its own; elsewhere, with the address that
                               it tells: tideline run -- nc 198.18.0.1 5000
  tideline compare --quick     the same programs over Linux and over tideline (as root)
)";

void print_overview(const help::Description& all) {
  fmt::print("{}", kOverview);
  for (const char* group : {kPrograms, kLook, kWire, kFiles, kHelp}) {
    fmt::print("\n{}:\n", group);
    for (const help::CommandText& command : all.commands) {
      if (command.group == group) fmt::print("  {:12} {}\n", command.name, command.text);
    }
  }
  fmt::print(
      "\n`tideline COMMAND --help` has options and examples; the manual: tideline man | man -l "
      "-\n");
}

int run(int argc, char** argv) {
  CLI::App app("a network host in user space, for unmodified programs", "tideline");
  app.set_version_flag("--version", std::string("tideline ") + TIDELINE_VERSION);
  app.footer(help::text_of(help::all_examples()) + kExitStatus);
  app.require_subcommand(1);
  Arguments arguments{.help = {.parser = &app}};
  std::vector<Command> commands;
  for (const auto add :
       {add_ping, add_echo, add_capture, add_relay, add_ports, add_doctor, add_udp_blast, add_perf,
        add_serve, add_get, add_copy, add_devices, add_run, add_status, add_up, add_down,
        add_compare, add_man, add_completion}) {
    commands.push_back(add(app, arguments));
  }
  if (argc == 1) {
    print_overview(help::describe(app));
    return kDone;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  const auto given = std::ranges::find_if(
      commands, [](const Command& command) { return command.parser->parsed(); });
  if (arguments.wire.placement == "frontend" && given->parser->get_name() != "run") {
    throw Failure(
        {.kind = ErrorKind::kUsage,
         .what = "--placement frontend is for `tideline run`",
         .remedy = "use the front end's host from a program (tideline run), or leave it out"});
  }
  return given->run(arguments);
}

}  // namespace
}  // namespace tideline::app

int main(int argc, char** argv) {
  try {
    return tideline::app::run(argc, argv);
  } catch (const tideline::app::Failure& failure) {
    fmt::print(stderr, "tideline: {}\n", failure.what());
    return tideline::app::exit_status(failure.kind);
  } catch (const std::exception& error) {
    fmt::print(stderr, "tideline: {}\n", error.what());
    return tideline::app::kEnvironment;
  }
}
