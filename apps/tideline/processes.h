// SPDX-License-Identifier: Apache-2.0
// Processes with an engine, which can be asked on their control sockets (src/control/README.md).
// What they say is another user's word when root asks, so it is to be taken apart with care.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "control/conversation.h"

namespace tideline::app {

// A process, or one host of a front end.
struct Process {
  UniqueFd directory;
  std::string socket;
  int pid = 0;
};

// Those of this user; for root, all.
std::vector<Process> find_processes();
// Those whose sockets are in one directory.
std::vector<Process> processes_in(const std::string& directory);

// What it answers; nothing if it is gone. `pid` becomes the one that the kernel knows. Throws a
// Failure if this user may not ask.
std::optional<nlohmann::ordered_json> ask(Process& process,
                                          std::string_view question = control::kQuestion);

// Of an answer. Texts are safe to show; what is missing, or something else, is empty or 0.
std::uint64_t number_in(const nlohmann::ordered_json& object, std::string_view key);
double real_in(const nlohmann::ordered_json& object, std::string_view key);
std::string text_in(const nlohmann::ordered_json& object, std::string_view key);
// An empty object if there is none.
const nlohmann::ordered_json& member(const nlohmann::ordered_json& object, std::string_view key);

}  // namespace tideline::app
