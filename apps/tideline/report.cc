// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <fmt/core.h>

#include <string>

namespace tideline::app {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

Json begin_json(const char* command, bool ok) {
  return Json{{"schema", kJsonSchema}, {"command", command}, {"ok", ok}};
}

Json to_json(const engine::Drops& drops) {
  Json json = Json::object();
  for (const auto& [reason, count] : drops) json[reason] = count;
  return json;
}

void print_drops(const Json& drops) {
  for (const auto& [reason, count] : drops.items()) {
    fmt::print("dropped: {} {}\n", count.get<std::uint64_t>(), reason);
  }
}

void print_json(const Json& object) { fmt::print("{}\n", object.dump(2)); }

}  // namespace tideline::app
