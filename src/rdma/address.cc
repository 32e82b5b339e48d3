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

bool GidTable::contains(const Gid& gid) const {
  return std::ranges::any_of(
      entries_, [&](const std::optional<GidEntry>& entry) { return entry && entry->gid == gid; });
}

}  // namespace tideline::rdma
