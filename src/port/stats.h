// SPDX-License-Identifier: Apache-2.0
// What a queue of a port counts. Written by the queue's thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "packet/pass_counter.h"

namespace tideline::port {

// Why a port dropped a frame, in the order of the names in stats.cc.
enum class Drop : std::uint8_t {
  kTxShort,       // shorter than an Ethernet header
  kTxLong,        // longer than the port takes
  kTxScattered,   // several segments, but no scatter/gather
  kTxOffload,     // asks for an offload that the port lacks, or in a way that makes no sense
  kTxFull,        // no room on the wire: the peer or the kernel is slower
  kTxNoPeer,      // nobody at the other end
  kTxRefused,     // the kernel refused it
  kTxPool,        // no segment free to gather into
  kRxPool,        // no segment free to receive into
  kRxFull,        // came faster than it was taken
  kRxShort,       // shorter than an Ethernet header
  kRxTruncated,   // longer than the port can receive
  kRxOffload,     // offload metadata of the other side that makes no sense
  kRxReference,   // lies outside of its sender's memory
  kRxWithdrawn,   // its sender took the memory back before it was copied
  kImpairLoss,    // lost on purpose
  kImpairFull,    // more on the impaired link than it holds
  kImpairPolice,  // above the rate that the impaired link is policed at
  kImpairPool,    // no segment free for a duplicate or a corrupted copy
  kImpairMtu,     // longer than the impaired link is to carry
};
inline constexpr std::size_t kDropCount = static_cast<std::size_t>(Drop::kImpairMtu) + 1;

// The name of its counter: "tx_full".
std::string_view name_of(Drop reason);

struct QueueStats {
  std::uint64_t rx_frames = 0;
  std::uint64_t rx_bytes = 0;
  std::uint64_t tx_frames = 0;
  std::uint64_t tx_bytes = 0;
  std::array<std::uint64_t, kDropCount> drops{};
  packet::PassCounter passes;

  std::uint64_t dropped(Drop reason) const { return drops[static_cast<std::size_t>(reason)]; }
  std::uint64_t dropped() const;
  void drop(Drop reason, std::uint64_t frames = 1) {
    drops[static_cast<std::size_t>(reason)] += frames;
  }
  void received(std::size_t bytes) {
    ++rx_frames;
    rx_bytes += bytes;
  }
  void sent(std::size_t bytes) {
    ++tx_frames;
    tx_bytes += bytes;
  }
};

}  // namespace tideline::port
