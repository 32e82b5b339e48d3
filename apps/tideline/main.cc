// SPDX-License-Identifier: Apache-2.0
// The command line: commands, options, exit statuses.
#include <fmt/core.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "commands.h"
#include "help/description.h"
#include "help/examples.h"
#include "session.h"

namespace tideline::app {
namespace {

// How the commands are shown together.
constexpr const char* kLook = "Look around";
constexpr const char* kPrograms = "Run programs, unmodified";
constexpr const char* kWire = "Try a wire";
constexpr const char* kFiles = "Move files";
constexpr const char* kHelp = "Help";

constexpr const char* kExitStatus =
    "Exit status: 0 done; 1 lost or differs; 2 usage; 3 this machine lacks something; 4 the peer "
    "failed";

constexpr const char* kOverview =
    R"(tideline runs unmodified programs on its own TCP/IP and RDMA, in user space.
To begin with:
  tideline doctor              what this machine offers, and how to mend what it lacks
  tideline run -- nc -l 5000   a program on an address of its own; elsewhere, with the address that
                               it tells: tideline run -- nc 198.18.0.1 5000
  tideline compare --quick     the same programs over Linux and over tideline (as root)
)";

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

CLI::App* add_command(CLI::App& app, const char* group, const char* name, const char* text) {
  CLI::App* command = app.add_subcommand(name, text)->group(group);
  const std::vector<help::Example> examples = help::examples_of(name);
  command->footer(help::text_of(examples) + kExitStatus);
  return command;
}

// Values that are offered; which may be given, the command knows.
class Offered : public CLI::Validator {
 public:
  explicit Offered(std::function<std::vector<std::string>()> list) {
    desc_function_ = [list = std::move(list)] {
      return fmt::format("{{{}}}", fmt::join(list(), ","));
    };
  }
};

Command add_ping(CLI::App& app, Arguments& arguments) {
  CLI::App* command = add_command(app, kWire, "ping", "ask a host for echoes");
  command->add_option("HOST", arguments.ping.host, "IPv4 or IPv6 address")->required();
  command->add_option("-c,--count", arguments.ping.count, "requests (default: until stopped)")
      ->check(CLI::PositiveNumber);
  command->add_option("-s,--size", arguments.ping.size, "bytes of data")
      ->check(CLI::Range(0, 65507))
      ->capture_default_str();
  command->add_option("-i,--interval", arguments.ping.interval, "seconds between requests")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  add_host_options(*command, arguments.wire);
  return {.parser = command, .run = [](const Arguments& a) { return ping(a.wire, a.ping); }};
}

Command add_echo(CLI::App& app, Arguments& arguments) {
  CLI::App* command = add_command(app, kWire, "echo",
                                  "answer ICMP echo requests, and UDP on port 7, until stopped");
  add_host_options(*command, arguments.wire);
  return {.parser = command, .run = [](const Arguments& a) { return echo(a.wire); }};
}

Command add_capture(CLI::App& app, Arguments& arguments) {
  CLI::App* command =
      add_command(app, kWire, "capture", "write the frames that arrive on a wire, until stopped");
  command->add_option("-w,--write", arguments.capture.file, "the pcap file")
      ->type_name("FILE")
      ->required();
  command->add_option("--count", arguments.capture.count, "stop after so many frames")
      ->check(CLI::PositiveNumber);
  add_wire_options(*command, arguments.wire);
  return {.parser = command, .run = [](const Arguments& a) { return capture(a.wire, a.capture); }};
}

Command add_relay(CLI::App& app, Arguments& arguments) {
  CLI::App* command = add_command(app, kWire, "relay",
                                  "forward frames between two wires, both ways, until stopped");
  command->add_option("WIRE", arguments.relay.wires, "the two wires")
      ->type_name("WIRE")
      ->required()
      ->expected(2);
  add_link_options(*command, arguments.wire);
  add_impair_options(*command, arguments.wire);
  return {.parser = command, .run = [](const Arguments& a) { return relay(a.wire, a.relay); }};
}

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

Command add_udp_blast(CLI::App& app, Arguments& arguments) {
  UdpBlastOptions& options = arguments.blast;
  CLI::App* command =
      add_command(app, kWire, "udp-blast",
                  "send datagrams as fast as a path takes them (port 5002), and say what was lost");
  command->add_option("HOST", options.host, "IPv4 or IPv6 address of the sink");
  command->add_flag("--listen", options.listen, "be the sink, until stopped");
  command->add_flag("--kernel", options.kernel,
                    "over the kernel's sockets (sendmmsg with UDP_SEGMENT, recvmmsg with UDP_GRO); "
                    "needs no --wire");
  command->add_option("--size", options.size, "bytes of a datagram")
      ->check(CLI::Range(1, 65507))
      ->capture_default_str();
  command->add_option("--rate", options.rate,
                      "bits of payload per second, like 10Gbit (default: what the wire takes)");
  command->add_option("--count", options.count, "so many datagrams; of a sink, so many senders")
      ->check(CLI::PositiveNumber);
  command->add_flag("--no-gso", options.no_offload, "every datagram in a packet of its own");
  add_host_options(*command, arguments.wire);
  command->get_option("--wire")->required(false);
  return {.parser = command, .run = [](const Arguments& a) { return udp_blast(a.wire, a.blast); }};
}

Command add_perf(CLI::App& app, Arguments& arguments) {
  PerfOptions& options = arguments.perf;
  CLI::App* command =
      add_command(app, kWire, "perf",
                  "how much TCP carries (port 5001): throughput, latency, connections per second");
  command->add_option("HOST", options.host, "IPv4 or IPv6 address of the server");
  command->add_flag("--listen", options.listen, "be the server, until stopped");
  command->add_flag("--kernel", options.kernel, "over the kernel's sockets; needs no --wire");
  command
      ->add_option(
          "--mode", options.mode,
          "stream: one way; request: messages and answers of --size; connect: connect, one "
          "byte each way, close")
      ->check(CLI::IsMember({"stream", "request", "connect"}))
      ->capture_default_str();
  command->add_option("--streams", options.streams, "connections at a time")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  command
      ->add_option("--size", options.size,
                   "bytes of a message (default: 64 of a request, 131072 of a stream)")
      ->check(CLI::Range(1, 1 << 30));
  command->add_option("--buffer", options.buffer, "bytes of a stream's two buffers")
      ->check(CLI::Range(65536, 64 << 20));
  command->add_option("--congestion", options.congestion, "who decides how fast this side sends")
      ->check(CLI::IsMember({"cubic", "reno", "bbr", "dctcp"}))
      ->capture_default_str();
  command->add_flag(
      "--copy", options.copy,
      "copy into and out of tideline's buffers, as sockets do (default: lend payload, "
      "read it in place)");
  command->add_flag("--poll", options.poll, "never sleep");
  add_host_options(*command, arguments.wire);
  add_tcp_options(*command, arguments.wire);
  return {.parser = command, .run = [](const Arguments& a) { return perf(a.wire, a.perf); }};
}

Command add_serve(CLI::App& app, Arguments& arguments) {
  CLI::App* command = add_command(app, kFiles, "serve",
                                  "serve the files of a directory over HTTP/1.1, until stopped");
  command->add_option("DIR", arguments.serve.directory, "the directory")
      ->type_name("DIR")
      ->required();
  command->add_option("--port", arguments.serve.port, "the TCP port")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  add_host_options(*command, arguments.wire);
  add_tcp_options(*command, arguments.wire);
  return {.parser = command, .run = [](const Arguments& a) { return serve(a.wire, a.serve); }};
}

Command add_get(CLI::App& app, Arguments& arguments) {
  CLI::App* command = add_command(app, kFiles, "get", "download a file over HTTP/1.1");
  command->add_option("URL", arguments.get.url, "http://ADDRESS[:PORT]/PATH")->required();
  command
      ->add_option("-o,--output", arguments.get.output,
                   "the file to write (default: as in the URL; - is standard output); what "
                   "FILE.part has of it is not asked for again")
      ->type_name("FILE");
  add_host_options(*command, arguments.wire);
  add_tcp_options(*command, arguments.wire);
  return {.parser = command, .run = [](const Arguments& a) { return get(a.wire, a.get); }};
}

Command add_copy(CLI::App& app, Arguments& arguments) {
  CLI::App* command = add_command(app, kFiles, "copy",
                                  "move a file to another host by RDMA WRITE, with a checksum");
  command->add_option("FILE", arguments.copy.file, "the file")->type_name("FILE");
  command->add_option("TARGET", arguments.copy.target,
                      "HOST:NAME: where it goes; [ADDRESS]:NAME of an IPv6 address; without a NAME "
                      "it keeps its own");
  command
      ->add_option("--listen", arguments.copy.listen,
                   "take files in this directory (TCP port 5003), until stopped")
      ->type_name("DIR");
  add_host_options(*command, arguments.wire);
  return {.parser = command, .run = [](const Arguments& a) { return copy_file(a.wire, a.copy); }};
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
  command->add_flag("--quick", options.quick, "two rounds of a second each, under 5 minutes");
  command
      ->add_option("--placement", options.placements,
                   "one of them, several times if wanted (default: all)")
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

Command add_man(CLI::App& app, Arguments& arguments) {
  HelpOptions& options = arguments.help;
  CLI::App* command =
      add_command(app, kHelp, "man", "write a manual page: tideline man | man -l -");
  command->add_option("COMMAND", options.command, "whose page (default: that of all)")
      ->check(Offered([&app] {
        std::vector<std::string> names;
        for (const CLI::App* each : app.get_subcommands([](CLI::App*) { return true; })) {
          names.push_back(each->get_name());
        }
        return names;
      }));
  command->add_option("--write", options.directory, "write all pages into this directory instead")
      ->type_name("DIR");
  return {.parser = command, .run = [](const Arguments& a) { return man(a.help); }};
}

Command add_completion(CLI::App& app, Arguments& arguments) {
  CLI::App* command =
      add_command(app, kHelp, "completion", "write a script by which a shell completes commands");
  command->add_option("SHELL", arguments.help.shell, "whose")
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->required();
  return {.parser = command, .run = [](const Arguments& a) { return completion(a.help); }};
}

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
