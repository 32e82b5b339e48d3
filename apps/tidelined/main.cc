// SPDX-License-Identifier: Apache-2.0
// tidelined, the front end: hosts for the programs of this machine, as a daemon.
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include "config.h"
#include "daemon.h"
#include "log.h"
#include "privileges.h"
#include "tideline/options.h"

namespace tideline::daemon {
namespace {

constexpr const char* kFooter = R"(Without --config, one host is made of the options.
SIGTERM and SIGINT stop it, SIGHUP has it read the configuration's policy again.
`tideline up` starts it in the background, `tideline down` stops it, `tideline status` asks it.
Exit status: 0 stopped when told to; 2 usage or configuration; 3 this machine lacks something)";

struct Arguments {
  std::string config;
  std::string name;
  bool check = false;
  bool background = false;
  app::WireOptions wire;
};

Result<Config> configuration(const Arguments& arguments) {
  Config config;
  if (!arguments.config.empty()) {
    auto read = read_config(arguments.config, MachineAccounts());
    if (!read) return read;
    config = std::move(*read);
  } else {
    HostConfig host;
    host.attachment = arguments.wire;
    config.hosts.push_back(std::move(host));
  }
  if (!arguments.name.empty()) {
    if (Status s = check_name(arguments.name, "a front end"); !s) return fail(std::move(s.error()));
    config.name = arguments.name;
  }
  return config;
}

int fail_with(const Error& error) {
  fmt::print(stderr, "tidelined: {}\n", error.message());
  return app::exit_status(error.kind);
}

int run(int argc, char** argv) {
  CLI::App command("The front end of tideline: hosts that the programs of this machine share.");
  command.footer(kFooter);
  Arguments arguments;
  app::add_front_end_options(command, arguments.wire, arguments.config, arguments.name);
  command.add_flag("--check", arguments.check, "only read the configuration");
  command.add_flag("--background", arguments.background)->group("");
  try {
    command.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return command.exit(error) == 0 ? app::kDone : app::kUsage;
  }
  // What the starter has open is none of a daemon's.
  if (arguments.background) ::close_range(3, ~0U, 0);
  auto config = configuration(arguments);
  if (!config) return fail_with(config.error());
  if (arguments.check) {
    fmt::print("{}: {} hosts, {} rules\n", arguments.config, config->hosts.size(),
               config->policy.rules.size());
    return app::kDone;
  }
  set_up_log(config->log);
  const auto duration =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(arguments.wire.duration));
  const auto daemon = Daemon::create(
      std::move(*config),
      {.config_path = arguments.config, .background = arguments.background, .duration = duration},
      ::getuid());
  if (!daemon) return fail_with(daemon.error());
  const Status done = (*daemon)->run();
  return done ? app::kDone : fail_with(done.error());
}

}  // namespace
}  // namespace tideline::daemon

int main(int argc, char** argv) {
  try {
    return tideline::daemon::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "tidelined: {}\n", error.what());
    return tideline::app::kEnvironment;
  }
}
