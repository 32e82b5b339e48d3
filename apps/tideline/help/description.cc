// SPDX-License-Identifier: Apache-2.0
#include "help/description.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include <string_view>

namespace tideline::app::help {
namespace {

// CLI11 tells a type and what is checked in one text: "UINT:INT in [0 - 65507]",
// "TEXT:{app,frontend}".
std::string between(const std::string& type, std::string_view begin, std::string_view end) {
  const std::size_t from = type.find(begin);
  if (from == std::string::npos) return {};
  const std::size_t to = type.find(end, from + begin.size());
  if (to == std::string::npos) return {};
  return type.substr(from + begin.size(), to - from - begin.size());
}

std::string range_in(const std::string& type) {
  if (type.ends_with(":POSITIVE")) return "more than 0";
  std::string range = between(type, " in [", "]");
  const std::size_t dash = range.find(" - ");
  if (dash != std::string::npos) range.replace(dash, 3, " to ");
  return range;
}

Kind kind_of(std::string_view value) {
  if (value == "FILE") return Kind::kFile;
  if (value == "DIR") return Kind::kDirectory;
  if (value == "WIRE") return Kind::kWire;
  if (value == "PROGRAM") return Kind::kProgram;
  return Kind::kText;
}

std::string name_of_value(const std::string& type) {
  std::string base = type.substr(0, type.find(':'));
  if (base == "UINT" || base == "INT" || base == "FLOAT") return "NUMBER";
  return base;
}

Parameter describe(const CLI::Option& option) {
  Parameter parameter{.text = option.get_description(),
                      .required = option.get_required(),
                      .repeats = option.get_expected_max() > 1};
  for (const std::string& name : option.get_snames()) parameter.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) parameter.names.push_back("--" + name);
  if (parameter.names.empty()) parameter.names.push_back(option.get_name(true));
  if (option.get_items_expected_max() == 0) return parameter;  // a flag
  const std::string type = option.get_type_name();
  parameter.value = name_of_value(type);
  parameter.kind = kind_of(parameter.value);
  parameter.range = range_in(type);
  parameter.standard = option.get_default_str();
  const std::string choices = between(type, "{", "}");
  if (choices.empty()) return parameter;
  parameter.kind = Kind::kChoice;
  parameter.choices = CLI::detail::split(choices, ',');
  return parameter;
}

}  // namespace

Description describe(const CLI::App& app) {
  Description all{.name = app.get_name(), .text = app.get_description(), .version = app.version()};
  for (const CLI::Option* option : app.get_options()) all.options.push_back(describe(*option));
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    CommandText text{.name = command->get_name(),
                     .group = command->get_group(),
                     .text = command->get_description()};
    for (const CLI::Option* option : command->get_options()) {
      (option->nonpositional() ? text.options : text.arguments).push_back(describe(*option));
    }
    all.commands.push_back(std::move(text));
  }
  return all;
}

}  // namespace tideline::app::help
