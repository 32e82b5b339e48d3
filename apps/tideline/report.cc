// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <fmt/core.h>

#include <string>

#include "ip/discard.h"
#include "wire/drop_reason.h"

namespace tideline::app {
namespace {

using Json = nlohmann::ordered_json;

template <typename Reason, typename Count>
void add_drops(Json& drops, const char* room, std::size_t reasons, const Count& count) {
  for (std::size_t i = 0; i < reasons; ++i) {
    const auto reason = static_cast<Reason>(i);
    const std::uint64_t number = count(reason);
    if (number > 0) drops[fmt::format("{}.{}", room, name_of(reason))] = number;
  }
}

}  // namespace

Json begin_json(const char* command, bool ok) {
  return Json{{"schema", kJsonSchema}, {"command", command}, {"ok", ok}};
}

Json drops_of(port::Port& port, const nic::Function& function) {
  Json drops = Json::object();
  const port::QueueStats stats = port.stats(0);
  add_drops<port::Drop>(drops, "port", port::kDropCount,
                        [&](port::Drop reason) { return stats.dropped(reason); });
  add_drops<nic::Drop>(drops, "nic", nic::kDropCount,
                       [&](nic::Drop reason) { return function.stats().dropped(reason); });
  return drops;
}

Json drops_of(engine::Worker& worker) {
  Json drops = drops_of(worker.port(), worker.function());
  if (worker.host() == nullptr) return drops;
  const ip::DropCounters& host = worker.host()->stack().drops();
  add_drops<wire::DropReason>(drops, "wire", wire::kDropReasonCount,
                              [&](wire::DropReason reason) { return host.of(reason); });
  add_drops<ip::Discard>(drops, "ip", ip::kDiscardCount,
                         [&](ip::Discard reason) { return host.of(reason); });
  const tcp::Counters& tcp = worker.host()->tcp().counters();
  add_drops<wire::DropReason>(drops, "tcp", wire::kDropReasonCount,
                              [&](wire::DropReason reason) { return tcp.of(reason); });
  add_drops<tcp::Discard>(drops, "tcp", tcp::kDiscardCount,
                          [&](tcp::Discard reason) { return tcp.of(reason); });
  return drops;
}

void print_drops(const Json& drops) {
  for (const auto& [reason, count] : drops.items()) {
    fmt::print("dropped: {} {}\n", count.get<std::uint64_t>(), reason);
  }
}

void print_json(const Json& object) { fmt::print("{}\n", object.dump(2)); }

}  // namespace tideline::app
