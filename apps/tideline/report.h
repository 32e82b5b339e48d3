// SPDX-License-Identifier: Apache-2.0
// What a command has to say at the end, in its two forms.
#pragma once

#include <nlohmann/json.hpp>

#include "engine/drops.h"
#include "engine/worker.h"

namespace tideline::app {

inline constexpr int kJsonSchema = 1;

// `schema`, `command` and `ok`, to which the command adds its results.
nlohmann::ordered_json begin_json(const char* command, bool ok);
// Every reason for which something was dropped, by `room.counter`; an empty object if nothing was.
nlohmann::ordered_json to_json(const engine::Drops& drops);
inline nlohmann::ordered_json drops_of(engine::Worker& worker) {
  return to_json(engine::list_drops(worker));
}
// Those of a port and of the function on it, under the same names.
inline nlohmann::ordered_json drops_of(port::Port& port, const nic::Function& function) {
  return to_json(engine::list_drops(port, function));
}
// The same as lines of text; nothing if nothing was dropped.
void print_drops(const nlohmann::ordered_json& drops);
inline void print_drops(engine::Worker& worker) { print_drops(drops_of(worker)); }
void print_json(const nlohmann::ordered_json& object);

}  // namespace tideline::app
