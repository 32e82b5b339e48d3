// SPDX-License-Identifier: Apache-2.0
// `tideline man` and `tideline completion`: what the command line says of itself, for man and for
// shells.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "commands.h"
#include "help/completion.h"
#include "help/description.h"
#include "help/man_page.h"
#include "session.h"

namespace tideline::app {
namespace {

namespace fs = std::filesystem;

void write_page(const fs::path& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  out.close();
  if (out) return;
  throw Failure({.kind = ErrorKind::kEnvironment,
                 .what = fmt::format("cannot write {}", file.string()),
                 .remedy = "name a directory that you may write to"});
}

int write_pages(const help::Description& all, const fs::path& directory) {
  write_page(directory / fmt::format("{}.1", all.name), man_page(all));
  for (const help::CommandText& command : all.commands) {
    write_page(directory / fmt::format("{}-{}.1", all.name, command.name), man_page(all, command));
  }
  return kDone;
}

}  // namespace

int man(const HelpOptions& options) {
  const help::Description all = help::describe(*options.parser);
  if (!options.directory.empty()) return write_pages(all, options.directory);
  if (options.command.empty()) {
    fmt::print("{}", man_page(all));
    return kDone;
  }
  const auto command = std::ranges::find(all.commands, options.command, &help::CommandText::name);
  if (command == all.commands.end()) {
    throw Failure({.kind = ErrorKind::kUsage,
                   .what = fmt::format("there is no command '{}'", options.command),
                   .remedy = "`tideline` without arguments names all"});
  }
  fmt::print("{}", man_page(all, *command));
  return kDone;
}

int completion(const HelpOptions& options) {
  const help::Description all = help::describe(*options.parser);
  const auto write = options.shell == "bash"  ? help::bash_completion
                     : options.shell == "zsh" ? help::zsh_completion
                                              : help::fish_completion;
  fmt::print("{}", write(all));
  return kDone;
}

}  // namespace tideline::app
