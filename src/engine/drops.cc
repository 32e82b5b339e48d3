// SPDX-License-Identifier: Apache-2.0
#include "engine/drops.h"

#include <fmt/core.h>

#include <string_view>

#include "ip/discard.h"
#include "wire/drop_reason.h"

namespace tideline::engine {
namespace {

template <typename Reason, typename Count>
void add_drops(Drops& drops, const char* room, std::size_t reasons, const Count& count) {
  for (std::size_t i = 0; i < reasons; ++i) {
    const auto reason = static_cast<Reason>(i);
    const std::uint64_t number = count(reason);
    if (number > 0) drops.emplace_back(fmt::format("{}.{}", room, name_of(reason)), number);
  }
}

}  // namespace

Drops list_drops(port::Port& port, const nic::Function& function) {
  Drops drops;
  const port::QueueStats stats = port.stats(0);
  add_drops<port::Drop>(drops, "port", port::kDropCount,
                        [&](port::Drop reason) { return stats.dropped(reason); });
  add_drops<nic::Drop>(drops, "nic", nic::kDropCount,
                       [&](nic::Drop reason) { return function.stats().dropped(reason); });
  return drops;
}

Drops list_drops(Worker& worker) {
  Drops drops = list_drops(worker.port(), worker.function());
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

Drops list_drops(const rdma::Counters& counters) {
  Drops drops;
  add_drops<wire::DropReason>(drops, "rdma", wire::kDropReasonCount,
                              [&](wire::DropReason reason) { return counters.of(reason); });
  // Counters of all kinds: those of drops have names that say so.
  constexpr std::string_view kDrop = "drop_";
  for (std::size_t i = 0; i < rdma::kCounterCount; ++i) {
    const auto counter = static_cast<rdma::Counter>(i);
    const std::string_view name = name_of(counter);
    if (counters.of(counter) == 0 || !name.starts_with(kDrop)) continue;
    drops.emplace_back(fmt::format("rdma.{}", name.substr(kDrop.size())), counters.of(counter));
  }
  return drops;
}

}  // namespace tideline::engine
