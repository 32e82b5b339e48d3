// SPDX-License-Identifier: Apache-2.0
// What a frame with Gso::kRoce becomes on a wire: packets of the path MTU, each with its ICRC.
//
//   frame    | Ethernet IP UDP | BTH opcode o, psn p | RETH | ImmDt | payload of n MTUs | pad |
//   ---- | packets  | .. | o.FIRST,  p         | RETH  | MTU        | ICRC |
//            | .. | o.MIDDLE, p+1               | MTU        | ICRC |
//            | .. | o.LAST,   p+n-1     | ImmDt | the rest | pad | ICRC |
//
// The opcode of the frame says whether it begins or ends its message; the ICRC's place is there and
// empty. A frame of one packet, too, has its ICRC filled in here. IBA 9.4.1, 9.7.2; annex A17. Used
// by whoever hands frames to ports without `roce_gso`, and by captures. Thread: the pool's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "packet/packet.h"
#include "packet/pass_counter.h"
#include "packet/pool.h"
#include "wire/packet_layout.h"
#include "wire/roce.h"

namespace tideline::packet {

class RoceSegmenter {
 public:
  // Nothing if the frame is none of Gso::kRoce, its headers are not those of RoCE or do not lie
  // in the first segment, or it has an opcode that is not spread over packets and more payload than
  // one of them takes.
  static std::optional<RoceSegmenter> create(PacketPtr frame);

  std::size_t count() const { return count_; }
  bool done() const { return index_ == count_; }
  // The next packet, a whole frame ready for a wire. Null if the pool is exhausted: call again, or
  // give up.
  PacketPtr next(Pool& pool, PassCounter& passes);

 private:
  RoceSegmenter(PacketPtr frame, const wire::PacketLayout& layout, const wire::Roce& headers);

  wire::Roce headers_of(std::size_t index, std::size_t payload_size) const;
  // `transport` bytes from the BTH on.
  bool write_headers(Packet& packet, const wire::Roce& roce, std::size_t transport) const;

  PacketPtr frame_;
  wire::PacketLayout layout_;
  wire::Roce headers_;
  std::size_t payload_at_ = 0;
  std::size_t payload_size_ = 0;  // without pad
  std::size_t mtu_ = 0;
  std::size_t count_ = 1;
  std::size_t index_ = 0;
};

// Computes the ICRC of a frame that is one packet, and puts it into its last bytes. The headers up
// to the end of the BTH lie in the first segment.
void fill_icrc(Packet& frame, const wire::PacketLayout& layout, PassCounter& passes);

}  // namespace tideline::packet
