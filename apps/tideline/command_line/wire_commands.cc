// SPDX-License-Identifier: Apache-2.0
// The commands that try a wire.
#include "command_line/command_line.h"

namespace tideline::app {

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

}  // namespace tideline::app
