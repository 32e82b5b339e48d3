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

std::optional<std::size_t> GidTable::find(const Gid& gid) const {
  const auto found = std::ranges::find_if(
      entries_, [&](const auto& entry) { return entry.has_value() && entry->gid == gid; });
  if (found == entries_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - entries_.begin());
}

}  // namespace tideline::rdma
