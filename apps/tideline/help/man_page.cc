// SPDX-License-Identifier: Apache-2.0
#include "help/man_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "help/examples.h"

namespace tideline::app::help {
namespace {

constexpr const char* kExitStatus = R"(.SH "EXIT STATUS"
.TP
.B 0
done
.TP
.B 1
the result is negative: lost, or differs
.TP
.B 2
usage
.TP
.B 3
this machine lacks something; the message says what, and how to mend it
.TP
.B 4
the peer failed
)";

// As roff takes it for text: its own characters escaped, no line that begins like a request.
std::string roff(std::string_view text) {
  std::string out(text.starts_with('.') ? "\\&" : "");
  for (const char c : text) {
    switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      case '`':
        out += "\\(ga";
        break;
      case '\'':
        out += "\\(aq";
        break;
      case '~':
        out += "\\(ti";
        break;
      case '^':
        out += "\\(ha";
        break;
      case '"':
        out += "\\(dq";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string head(const Description& all, std::string_view page, std::string_view text) {
  std::string title(page);
  std::ranges::transform(title, title.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  });
  return fmt::format(
      ".\\\" Written by `tideline man`.\n.TH \"{}\" 1 \"\" \"{} {}\" \"User Commands\"\n.SH "
      "NAME\n{} \\- {}\n",
      title, all.name, all.version, roff(page), roff(text));
}

// `--mode` stream|request|connect, as in a synopsis.
std::string value_of(const Parameter& parameter) {
  if (parameter.choices.empty() || parameter.choices.size() > 4) {
    return fmt::format("\\fI{}\\fR", roff(parameter.value));
  }
  return fmt::format("\\fB{}\\fR", roff(fmt::format("{}", fmt::join(parameter.choices, "|"))));
}

std::string heading(const Parameter& parameter) {
  std::vector<std::string> names;
  names.reserve(parameter.names.size());
  for (const std::string& name : parameter.names) {
    names.push_back(fmt::format("\\fB{}\\fR", roff(name)));
  }
  std::string line = fmt::format("{}", fmt::join(names, ", "));
  if (parameter.kind != Kind::kNone && parameter.names[0].starts_with('-')) {
    line += fmt::format(" {}", value_of(parameter));
  }
  return line;
}

std::string item(const Parameter& parameter) {
  std::string text = fmt::format(".TP\n{}\n{}", heading(parameter), roff(parameter.text));
  if (parameter.choices.size() > 4 ||
      (!parameter.choices.empty() && !parameter.names[0].starts_with('-'))) {
    text += fmt::format("; one of {}", roff(fmt::format("{}", fmt::join(parameter.choices, ", "))));
  }
  if (!parameter.range.empty()) text += fmt::format(" ({})", roff(parameter.range));
  if (!parameter.standard.empty()) {
    text += fmt::format("; default: \\fB{}\\fR", roff(parameter.standard));
  }
  if (parameter.repeats && parameter.names[0].starts_with('-')) text += "; may be given again";
  return text + "\n";
}

std::string items(const char* title, const std::vector<Parameter>& parameters) {
  if (parameters.empty()) return {};
  std::string text = fmt::format(".SH {}\n", title);
  for (const Parameter& each : parameters) text += item(each);
  return text;
}

std::string examples(std::span<const Example> all) {
  if (all.empty()) return {};
  std::string text = ".SH EXAMPLES\n";
  for (const Example& each : all) {
    text += fmt::format(".TP\n\\fB{}\\fR\n{}{}\n", roff(each.line), each.as_root ? "As root. " : "",
                        *each.then == '\0' && !each.as_root ? "\\&" : roff(each.then));
  }
  return text;
}

std::string synopsis(const Description& all, const CommandText& command) {
  std::string line = fmt::format(".SH SYNOPSIS\n\\fB{} {}\\fR", roff(all.name), roff(command.name));
  if (!command.options.empty()) line += " [\\fIOPTIONS\\fR]";
  for (const Parameter& each : command.arguments) {
    std::string name = fmt::format("\\fI{}\\fR", roff(each.names[0]));
    if (each.repeats) name += "...";
    if (each.kind == Kind::kProgram) line += " \\fB\\-\\-\\fR";
    line += each.required ? " " + name : fmt::format(" [{}]", name);
  }
  return line + "\n";
}

}  // namespace

std::string man_page(const Description& all) {
  std::string text = head(all, all.name, all.text);
  text += fmt::format(
      ".SH SYNOPSIS\n\\fB{0}\\fR \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]\n.SH COMMANDS\n"
      "Each has a page of its own, as \\fB{0}\\-ping\\fR(1).\n",
      roff(all.name));
  std::vector<std::string> groups;
  for (const CommandText& command : all.commands) {
    if (std::ranges::find(groups, command.group) == groups.end()) groups.push_back(command.group);
  }
  for (const std::string& group : groups) {
    text += fmt::format(".SS {}\n", roff(group));
    for (const CommandText& command : all.commands) {
      if (command.group != group) continue;
      text += fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(command.name), roff(command.text));
    }
  }
  return text + items("OPTIONS", all.options) + examples(all_examples()) + kExitStatus;
}

std::string man_page(const Description& all, const CommandText& command) {
  return head(all, fmt::format("{}-{}", all.name, command.name), command.text) +
         synopsis(all, command) + items("ARGUMENTS", command.arguments) +
         items("OPTIONS", command.options) + examples(examples_of(command.name)) + kExitStatus +
         fmt::format(".SH \"SEE ALSO\"\n\\fB{}\\fR(1)\n", roff(all.name));
}

}  // namespace tideline::app::help
