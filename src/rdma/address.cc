// SPDX-License-Identifier: Apache-2.0
#include "rdma/address.h"

#include <algorithm>

namespace tideline::rdma {

std::optional<std::size_t> GidTable::add(const GidEntry& entry) {
  const auto empty =
      std::ranges::find_if(entries_, [](const auto& slot) { return !slot.has_value(); });
  if (empty == entries_.end()) return std::nullopt;
  *empty = entry;
  return static_cast<std::size_t>(empty - entries_.begin());
}

void GidTable::add_v1() {
  for (std::size_t i = 0; i + kFirstV1 < size(); ++i) {
    const std::optional<GidEntry>& entry = entries_.at(i);
    if (!entry || entries_.at(i + kFirstV1)) continue;
    set(i + kFirstV1, {.gid = entry->gid, .type = GidType::kRoceV1});
  }
}

std::optional<std::size_t> GidTable::find(const Gid& gid) const {
  const auto found = std::ranges::find_if(
      entries_, [&](const auto& entry) { return entry.has_value() && entry->gid == gid; });
  if (found == entries_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - entries_.begin());
}

}  // namespace tideline::rdma
