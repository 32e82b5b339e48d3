// SPDX-License-Identifier: Apache-2.0
// The commands for programs, unmodified.
#include "command_line/command_line.h"

namespace tideline::app {

Command add_run(CLI::App& app, Arguments& arguments) {
  CLI::App* command = add_command(
      app, kPrograms, "run",
      "run a program over tideline: its sockets and RDMA devices (libibverbs) are ours");
  command->add_flag("--strict", arguments.run.strict,
                    "refuse what would go to the kernel's IP instead");
  command->add_flag("--localhost", arguments.run.localhost,
                    "take 127.0.0.1 and ::1 for the program's own addresses on the wire");
  command->add_flag("--stats", arguments.run.stats, "tell at its end what was counted");
  command
      ->add_option("--name", arguments.run.front_end,
                   "with --placement frontend: of the front end, or the path of its socket")
      ->capture_default_str();
  command->add_option("--host", arguments.run.host,
                      "with --placement frontend: which of its hosts, if it has several");
  add_host_options(*command, arguments.wire);
  add_tcp_options(*command, arguments.wire);
  command->add_option("PROGRAM", arguments.run.program, "behind `--`: it and its arguments")
      ->type_name("PROGRAM")
      ->required();
  return {.parser = command, .run = [](const Arguments& a) { return run_program(a.wire, a.run); }};
}

Command add_up(CLI::App& app, Arguments& arguments) {
  CLI::App* command = add_command(
      app, kPrograms, "up",
      "start a front end in the background: hosts that the programs of this machine share");
  add_front_end_options(*command, arguments.wire, arguments.up.config, arguments.up.name);
  command->add_option("--placement", "where the network stack runs: in the front end")
      ->check(CLI::IsMember({"frontend"}))
      ->expected(1)
      ->default_str("frontend");
  command->add_flag("--json", arguments.wire.json, "print one JSON object");
  return {.parser = command, .run = [](const Arguments& a) { return up(a.wire, a.up); }};
}

Command add_down(CLI::App& app, Arguments& arguments) {
  DownOptions& options = arguments.down;
  CLI::App* command =
      add_command(app, kPrograms, "down", "stop a front end, and wait until it has ended");
  command->add_option("--name", options.name, "of the front end")->capture_default_str();
  command->add_option("--timeout", options.timeout, "wait for so many seconds at most")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  command->add_flag("--json", options.json, "print one JSON object");
  return {.parser = command, .run = [](const Arguments& a) { return down(a.down); }};
}

Command add_compare(CLI::App& app, Arguments& arguments) {
  CompareOptions& options = arguments.compare;
  CLI::App* command = add_command(
      app, kPrograms, "compare",
      "run the same unmodified programs in every placement, in turn, and show what each costs");
  command->add_flag(
      "--quick", options.quick,
      "two rounds of a second each, under 5 minutes, without placement frontend-bypass");
  command
      ->add_option("--placement", options.placements,
                   "one of them, several times if wanted (default: all; --quick: those it has)")
      ->check(Offered(placement_names))
      ->allow_extra_args(false);
  command
      ->add_option("--workload", options.files,
                   "a workload of your own, described like apps/tideline/compare/workloads/*.toml")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command->add_option("--seconds", options.seconds, "of a run (default: 2, or 1)")
      ->check(CLI::Range(1, 3600));
  command->add_option("--rounds", options.rounds, "of all runs (default: 3, or 2)")
      ->check(CLI::Range(1, 1000));
  command->add_flag("--json", options.json, "print one JSON object, in base units");
  command->add_option("--html", options.html, "write a page with plots to this file")
      ->type_name("FILE");
  command->add_option("NAME", options.names, "of workloads (default: all)")
      ->check(Offered(workload_names));
  return {.parser = command,
          .run = [](const Arguments& a) { return compare_placements(a.compare); }};
}

}  // namespace tideline::app
