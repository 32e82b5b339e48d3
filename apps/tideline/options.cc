// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include <CLI/CLI.hpp>

namespace tideline::app {
namespace {

void add_limit_options(CLI::App& command, WireOptions& options) {
  command.add_option("--mtu", options.mtu, "the largest IP packet (default: the wire's, or 1500)")
      ->check(CLI::Range(1280, 65535));
  command.add_option("--duration", options.duration, "stop after so many seconds")
      ->check(CLI::PositiveNumber);
}

void add_wire_option(CLI::App& command, WireOptions& options) {
  command
      .add_option("--wire", options.wire,
                  "shm:NAME, tap:NAME[,peer=A/L][,peer6=A/L], packet:IF, xdp:IF, "
                  "dgram:LOCAL,REMOTE or pcap:IN[,OUT][,fast]")
      ->type_name("WIRE")
      ->capture_default_str();
}

void add_address_options(CLI::App& command, WireOptions& options) {
  // One value each, so that what follows is not taken for another.
  command.add_option("--ip", options.ip4, "IPv4 address of this host (shm: leased)")
      ->type_name("ADDRESS/LENGTH")
      ->allow_extra_args(false);
  command.add_option("--ip6", options.ip6, "IPv6 address of this host (shm: leased)")
      ->type_name("ADDRESS/LENGTH")
      ->allow_extra_args(false);
  command
      .add_option("--gateway", options.gateways,
                  "next hop to other networks; if given several times, the first that answers")
      ->type_name("ADDRESS")
      ->allow_extra_args(false);
}

}  // namespace

int exit_status(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return kUsage;
    case ErrorKind::kPeer:
      return kPeerFailed;
    case ErrorKind::kEnvironment:
    case ErrorKind::kExhausted:
      return kEnvironment;
  }
  return kEnvironment;
}

void add_link_options(CLI::App& command, WireOptions& options) {
  add_limit_options(command, options);
  command
      .add_option(
          "--placement", options.placement,
          "where the network stack runs: in this program, or in a front end (`tideline up`)")
      ->check(CLI::IsMember({"app", "frontend"}))
      ->capture_default_str();
  command.add_flag("--json", options.json, "print one JSON object, in base units");
}

void add_impair_options(CLI::App& command, WireOptions& options) {
  command
      .add_option("--impair", options.impair,
                  "spoil what is sent, by any of these with commas between: loss=1% delay=25ms "
                  "jitter=2ms reorder=0.5% late=5% lateness=10ms dup=0.1% corrupt=0.01% rate=1Gbit "
                  "queue=50ms police=100Mbit burst=64kB mtu=1400 (longer packets vanish)")
      ->type_name("SPEC");
  command.add_option("--seed", options.seed, "of --impair (default: random, and told)");
  command.add_option("--capture", options.capture, "write all frames to this pcap file")
      ->type_name("FILE");
}

void add_tcp_options(CLI::App& command, WireOptions& options) {
  command
      .add_option("--mtu-probing", options.mtu_probing,
                  "when TCP finds with probes how long packets may be: black-hole, once long ones "
                  "seem to vanish; always; or off, and ICMP alone tells")
      ->check(CLI::IsMember({"off", "black-hole", "always"}))
      ->capture_default_str();
}

void add_wire_options(CLI::App& command, WireOptions& options) {
  add_wire_option(command, options);
  add_link_options(command, options);
}

void add_host_options(CLI::App& command, WireOptions& options) {
  add_wire_options(command, options);
  add_address_options(command, options);
  add_impair_options(command, options);
}

void add_front_end_options(CLI::App& command, WireOptions& options, std::string& config,
                           std::string& name) {
  CLI::Option* file = command.add_option("--config", config, "a TOML file: hosts, users, policy")
                          ->type_name("FILE");
  command.add_option("--name", name, "of the front end (default: the configuration's, or default)");
  add_wire_option(command, options);
  add_address_options(command, options);
  add_impair_options(command, options);
  command.add_flag_callback(
      "--no-local-bypass", [&options] { options.local_bypass = false; },
      "bytes between two programs of this host go through TCP, as between two hosts");
  add_tcp_options(command, options);
  // All so far but these two say what the file says.
  for (CLI::Option* option : command.get_options()) {
    if (option != file && !option->check_lname("name") && !option->check_lname("help")) {
      option->excludes(file);
    }
  }
  add_limit_options(command, options);
  command.get_option("--mtu")->excludes(file);
}

}  // namespace tideline::app
