// SPDX-License-Identifier: Apache-2.0
#include "port/stats.h"

#include <numeric>

namespace tideline::port {
namespace {

constexpr std::array<std::string_view, kDropCount> kNames{
    "tx_short",    "tx_long",      "tx_scattered",  "tx_offload",   "tx_full",
    "tx_no_peer",  "tx_refused",   "tx_pool",       "rx_pool",      "rx_full",
    "rx_short",    "rx_truncated", "rx_offload",    "rx_reference", "rx_withdrawn",
    "impair_loss", "impair_full",  "impair_police", "impair_pool",  "impair_mtu"};

}  // namespace

std::string_view name_of(Drop reason) { return kNames[static_cast<std::size_t>(reason)]; }

std::uint64_t QueueStats::dropped() const {
  return std::accumulate(drops.begin(), drops.end(), std::uint64_t{0});
}

}  // namespace tideline::port
