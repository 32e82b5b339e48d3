// SPDX-License-Identifier: Apache-2.0
// The commands that tell of the others.
#include "command_line/command_line.h"

namespace tideline::app {

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

}  // namespace tideline::app
