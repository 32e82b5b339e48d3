// SPDX-License-Identifier: Apache-2.0
// Early aggregation: segments of one connection that follow each other in a received burst become
// one frame, as large receive offload makes it, so that IP and TCP see them once. Whatever could
// tell segments apart ends an aggregate: a hole, other flags, an ECN mark, other options, another
// acknowledgment or window. No byte of payload moves; sums are checked before, and not again.
// Thread: the worker's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "packet/packet.h"
#include "packet/pass_counter.h"
#include "wire/packet_layout.h"

namespace tideline::tcp {

class Aggregator {
 public:
  // Frames are whole Ethernet frames, in the order in which they came. What cannot be joined, or
  // is not even well-formed, stays as it is.
  void run(packet::Burst& burst);

  std::uint64_t joined() const { return joined_; }  // frames that went into others
  const packet::PassCounter& passes() const { return passes_; }

 private:
  // A frame to which others may be joined.
  struct Open {
    std::size_t slot = 0;  // in the burst
    wire::PacketLayout layout;
    std::uint32_t next_seq = 0;
    // Payload of each segment but the last; 0: nothing is joined, the frame only keeps its place in
    // the order.
    std::uint16_t unit = 0;
  };

  std::optional<Open> examine(packet::Packet& frame, std::size_t slot) const;
  bool is_intact(packet::Packet& frame, const wire::PacketLayout& layout);
  bool follows(const packet::Burst& burst, const Open& open, const Open& next) const;
  void join(packet::Burst& burst, Open& open, const Open& next);

  std::array<Open, packet::Burst::kCapacity> open_;
  std::uint64_t joined_ = 0;
  packet::PassCounter passes_;
};

}  // namespace tideline::tcp
