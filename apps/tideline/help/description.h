// SPDX-License-Identifier: Apache-2.0
// The command line as data, read from its parser: what manual pages and shell completion are made
// of, so that neither can say anything else than what is parsed.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace tideline::app::help {

// What a shell may offer for a value.
enum class Kind { kNone, kText, kChoice, kFile, kDirectory, kWire, kProgram };

struct Parameter {
  std::vector<std::string> names;  // "-c", "--count"; of an argument by place its one name, "HOST"
  Kind kind = Kind::kNone;         // kNone: a flag
  std::string value;               // how the value is called: "FILE", "number"
  std::string range;               // of numbers: "0 to 65507", "more than 0"
  std::vector<std::string> choices;
  std::string standard;  // its value unless given
  std::string text;
  bool required = false;
  bool repeats = false;
};

struct CommandText {
  std::string name;
  std::string group;
  std::string text;
  std::vector<Parameter> options;
  std::vector<Parameter> arguments;  // in order
};

struct Description {
  std::string name;
  std::string text;
  std::string version;
  std::vector<Parameter> options;
  std::vector<CommandText> commands;  // in the order in which they were added
};

Description describe(const CLI::App& app);

}  // namespace tideline::app::help
