// SPDX-License-Identifier: Apache-2.0
#include "command_line/command_line.h"

#include <fmt/ranges.h>

#include <utility>

#include "help/examples.h"

namespace tideline::app {

CLI::App* add_command(CLI::App& app, const char* group, const char* name, const char* text) {
  CLI::App* command = app.add_subcommand(name, text)->group(group);
  const std::vector<help::Example> examples = help::examples_of(name);
  command->footer(help::text_of(examples) + kExitStatus);
  return command;
}

Offered::Offered(std::function<std::vector<std::string>()> list) {
  desc_function_ = [list = std::move(list)] {
    return fmt::format("{{{}}}", fmt::join(list(), ","));
  };
}

}  // namespace tideline::app
