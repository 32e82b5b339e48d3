// SPDX-License-Identifier: Apache-2.0
// The commands that look around.
#include "command_line/command_line.h"

namespace tideline::app {

Command add_ports(CLI::App& app, Arguments& arguments) {
  CLI::App* command =
      add_command(app, kLook, "ports", "the kinds of wires, and what this machine allows of each");
  command->add_flag("--json", arguments.wire.json, "print one JSON object");
  return {.parser = command, .run = [](const Arguments& a) { return ports(a.wire.json); }};
}

Command add_doctor(CLI::App& app, Arguments& arguments) {
  CLI::App* command =
      add_command(app, kLook, "doctor",
                  "what of this machine serves tideline, what does not, and how to mend it");
  command->add_flag("--json", arguments.wire.json, "print one JSON object");
  return {.parser = command, .run = [](const Arguments& a) { return doctor(a.wire.json); }};
}

Command add_devices(CLI::App& app, Arguments& arguments) {
  CLI::App* command =
      add_command(app, kLook, "devices", "the RDMA device that `tideline run` gives to programs");
  add_host_options(*command, arguments.wire);
  return {.parser = command, .run = [](const Arguments& a) { return devices(a.wire); }};
}

Command add_status(CLI::App& app, Arguments& arguments) {
  StatusOptions& options = arguments.status;
  CLI::App* command =
      add_command(app, kLook, "status",
                  "what running programs and commands do: queue pairs, connections, rates, drops");
  command->add_option("PID", options.pid, "of one process (default: all)")
      ->check(CLI::Range(1, 1 << 22));
  command->add_option("--name", options.name, "of one front end");
  command->add_option("--interval", options.interval, "seconds over which rates are taken")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  command->add_flag("--json", options.json, "print one JSON object, in base units");
  return {.parser = command, .run = [](const Arguments& a) { return status(a.status); }};
}

}  // namespace tideline::app
