// SPDX-License-Identifier: Apache-2.0
#include "help/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <string_view>
#include <vector>

namespace tideline::app::help {
namespace {

constexpr std::string_view kWires = "shm: tap: packet: xdp: dgram: pcap:";

std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string names_of(const std::vector<Parameter>& options) {
  std::vector<std::string> names;
  for (const Parameter& each : options) {
    names.insert(names.end(), each.names.begin(), each.names.end());
  }
  return fmt::format("{}", fmt::join(names, " "));
}

std::string names_of(const std::vector<CommandText>& commands) {
  std::vector<std::string> names;
  names.reserve(commands.size());
  for (const CommandText& each : commands) names.push_back(each.name);
  return fmt::format("{}", fmt::join(names, " "));
}

// What the functions of the bash script are told of a value.
std::string bash_kind(const Parameter& parameter) {
  switch (parameter.kind) {
    case Kind::kNone:
    case Kind::kText:
      return "text";
    case Kind::kChoice:
      return fmt::format("choice {}", fmt::join(parameter.choices, " "));
    case Kind::kFile:
      return "file";
    case Kind::kDirectory:
      return "directory";
    case Kind::kWire:
      return "wire";
    case Kind::kProgram:
      return "program";
  }
  return {};
}

// A function that maps `COMMAND:NAME` to what is taken there; patterns of one answer are joined.
std::string bash_table(const char* function, const char* what,
                       const std::map<std::string, std::vector<std::string>>& places,
                       const char* otherwise) {
  std::string text =
      fmt::format("{}() {{  # COMMAND {}: sets kind\n  case $1:$2 in\n", function, what);
  for (const auto& [kind, patterns] : places) {
    text += fmt::format("    {}) kind={} ;;\n", fmt::join(patterns, "|"), shell_quoted(kind));
  }
  return text + fmt::format("    *) kind={} ;;\n  esac\n}}\n", otherwise);
}

// Words are those between blanks: bash would also split at `:` and `=`, and replaces what is behind
// the last of them.
constexpr std::string_view kBashBody = R"bash(
_tideline() {
  local words=() command='' option='' kind='' place=0 i word current
  COMPREPLY=()
  read -ra words <<<"${COMP_LINE:0:COMP_POINT}"
  [[ ${COMP_LINE:0:COMP_POINT} != *[[:blank:]] ]] || words+=('')
  current=${words[-1]}
  for ((i = 1; i < ${#words[@]} - 1; ++i)); do
    word=${words[i]}
    if [[ -n $option ]]; then
      option=''
    elif [[ $word == --?*=* ]]; then
      continue
    elif [[ $word == -?* && $word != -- ]]; then
      _tideline_option "$command" "$word"
      [[ $kind == flag ]] || option=$word
    elif [[ -z $command ]]; then
      command=$word
    elif [[ $word != -- ]]; then
      ((place += 1))
      _tideline_place "$command" "$place"
      if [[ $kind == program ]]; then
        _tideline_program
        return
      fi
    fi
  done
  if [[ -n $option ]]; then
    _tideline_option "$command" "$option"
    _tideline_offer
  elif [[ $current == --?*=* ]]; then
    _tideline_option "$command" "${current%%=*}"
    current=${current#*=}
    _tideline_offer
  elif [[ -z $command || $current == -* ]]; then
    COMPREPLY=($(compgen -W "$(_tideline_words "$command")" -- "$current"))
  else
    _tideline_place "$command" $((place + 1))
    _tideline_offer
  fi
}

_tideline_offer() {  # what is of $kind and begins with $current
  local IFS=$' \t\n'
  case $kind in
    choice*) COMPREPLY=($(compgen -W "${kind#choice}" -- "$current")) ;;
    file) compopt -o filenames 2>/dev/null; IFS=$'\n'; COMPREPLY=($(compgen -f -- "$current")) ;;
    directory) compopt -o filenames 2>/dev/null; IFS=$'\n'; COMPREPLY=($(compgen -d -- "$current")) ;;
    program) COMPREPLY=($(compgen -c -- "$current")) ;;
    wire)
      case $current in
        packet:*|xdp:*)
          COMPREPLY=($(compgen -P "${current%%:*}:" -W "$(ls /sys/class/net)" -- "${current#*:}")) ;;
        *)
          compopt -o nospace 2>/dev/null
          COMPREPLY=($(compgen -W "$_tideline_wires" -- "$current")) ;;
      esac
      [[ $current != *:* || $COMP_WORDBREAKS != *:* ]] || COMPREPLY=("${COMPREPLY[@]#"${current%:*}:"}") ;;
  esac
}

_tideline_program() {  # the arguments of $word, which `run` runs
  local at
  for ((at = 1; at < COMP_CWORD; ++at)); do
    [[ ${COMP_WORDS[at]} != "$word" ]] || break
  done
  if declare -F _command_offset >/dev/null; then
    _command_offset "$at"
  else
    kind=file
    _tideline_offer
  fi
}

complete -F _tideline tideline
)bash";

std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string zsh_action(const Parameter& parameter) {
  switch (parameter.kind) {
    case Kind::kNone:
    case Kind::kText:
      return {};
    case Kind::kChoice:
      return fmt::format("({})", fmt::join(parameter.choices, " "));
    case Kind::kFile:
      return "_files";
    case Kind::kDirectory:
      return "_files -/";
    case Kind::kWire:
      return "_tideline_wires";
    case Kind::kProgram:
      return "_normal";
  }
  return {};
}

std::string zsh_specification(const Parameter& option) {
  std::string text;
  for (const std::string& name : option.names) {
    text += fmt::format(
        "        {}{}",
        option.names.size() > 1 ? shell_quoted(fmt::format("({})", fmt::join(option.names, " ")))
                                : "",
        shell_quoted(
            fmt::format("{}{}[{}]{}", option.repeats ? "*" : "", name, zsh_text(option.text),
                        option.kind == Kind::kNone
                            ? ""
                            : fmt::format(":{}:{}", zsh_text(option.value), zsh_action(option)))));
    text += " \\\n";
  }
  return text;
}

std::string zsh_place(const Parameter& argument) {
  if (argument.kind == Kind::kProgram) return "        '*:: :_normal' \\\n";
  return fmt::format("        {} \\\n",
                     shell_quoted(fmt::format("{}:{}:{}", argument.repeats ? "*" : "",
                                              zsh_text(argument.names[0]), zsh_action(argument))));
}

std::string fish_values(const Parameter& parameter) {
  switch (parameter.kind) {
    case Kind::kNone:
      return {};
    case Kind::kText:
      return " -x";
    case Kind::kChoice:
      return fmt::format(" -x -a {}",
                         shell_quoted(fmt::format("{}", fmt::join(parameter.choices, " "))));
    case Kind::kFile:
      return " -r -F";
    case Kind::kDirectory:
      return " -x -a '(__fish_complete_directories)'";
    case Kind::kWire:
      return fmt::format(" -x -a {}", shell_quoted(kWires));
    case Kind::kProgram:
      return " -x -a '(__fish_complete_subcommand --fcs-skip=2)'";
  }
  return {};
}

// Of an option's names: `-s c -l count`.
std::string fish_names(const Parameter& option) {
  std::string text;
  for (const std::string& name : option.names) {
    text += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  }
  return text;
}

// As fish quotes: `'` and `\` alone.
std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

}  // namespace

std::string bash_completion(const Description& all) {
  std::map<std::string, std::vector<std::string>> options;
  std::map<std::string, std::vector<std::string>> places;
  std::string words;
  for (const CommandText& command : all.commands) {
    for (const Parameter& option : command.options) {
      if (option.kind == Kind::kNone) continue;
      for (const std::string& name : option.names) {
        options[bash_kind(option)].push_back(command.name + ":" + name);
      }
    }
    for (std::size_t i = 0; i < command.arguments.size(); ++i) {
      const Parameter& argument = command.arguments[i];
      const std::string number = argument.repeats ? "*" : std::to_string(i + 1);
      places[bash_kind(argument)].push_back(command.name + ":" + number);
    }
    words +=
        fmt::format("    {}) echo {} ;;\n", command.name, shell_quoted(names_of(command.options)));
  }
  return fmt::format(
             "# bash completion for tideline; written by `tideline completion bash`.\n"
             "_tideline_words() {{  # COMMAND: its options; of none: commands and options\n"
             "  case $1 in\n    '') echo {} ;;\n{}  esac\n}}\n",
             shell_quoted(names_of(all.commands) + " " + names_of(all.options)), words) +
         bash_table("_tideline_option", "OPTION", options, "flag") +
         bash_table("_tideline_place", "NUMBER", places, "text") +
         fmt::format("_tideline_wires={}\n", shell_quoted(kWires)) + std::string(kBashBody);
}

std::string zsh_completion(const Description& all) {
  std::string text = fmt::format(
      "#compdef tideline\n# zsh completion for tideline; written by `tideline completion zsh`.\n"
      "_tideline_wires() {{\n  compadd -S '' -- {}\n}}\n\n"
      "_tideline() {{\n  local curcontext=$curcontext state line\n  local -a commands\n  "
      "commands=(\n",
      kWires);
  for (const CommandText& command : all.commands) {
    text += fmt::format("    {}\n", shell_quoted(command.name + ":" + zsh_text(command.text)));
  }
  text += "  )\n  _arguments -C \\\n";
  for (const Parameter& option : all.options) text += zsh_specification(option);
  text +=
      "        '1:command:->command' \\\n        '*:: :->arguments'\n  case $state in\n"
      "    command) _describe -t commands command commands ;;\n    arguments)\n"
      "      case $words[1] in\n";
  for (const CommandText& command : all.commands) {
    text += fmt::format("      {})\n        _arguments -s \\\n", command.name);
    for (const Parameter& option : command.options) text += zsh_specification(option);
    for (const Parameter& argument : command.arguments) text += zsh_place(argument);
    text.erase(text.size() - 3);  // the last continuation
    text += "\n        ;;\n";
  }
  return text + "      esac ;;\n  esac\n}\n\n_tideline \"$@\"\n";
}

std::string fish_completion(const Description& all) {
  std::string text =
      "# fish completion for tideline; written by `tideline completion fish`.\n"
      "complete -c tideline -f\n";
  for (const Parameter& option : all.options) {
    text += fmt::format("complete -c tideline -n __fish_use_subcommand{}{} -d {}\n",
                        fish_names(option), fish_values(option), fish_quoted(option.text));
  }
  for (const CommandText& command : all.commands) {
    text += fmt::format("complete -c tideline -n __fish_use_subcommand -a {} -d {}\n", command.name,
                        fish_quoted(command.text));
    const std::string when = shell_quoted("__fish_seen_subcommand_from " + command.name);
    for (const Parameter& option : command.options) {
      text += fmt::format("complete -c tideline -n {}{}{} -d {}\n", when, fish_names(option),
                          fish_values(option), fish_quoted(option.text));
    }
    for (const Parameter& argument : command.arguments) {
      const std::string values = fish_values(argument);
      // Without `-x`: it is for an option's value.
      if (values.starts_with(" -x -a")) {
        text += fmt::format("complete -c tideline -n {}{}\n", when, values.substr(3));
      } else if (argument.kind == Kind::kFile) {
        text += fmt::format("complete -c tideline -n {} -F\n", when);
      }
    }
  }
  return text;
}

}  // namespace tideline::app::help
