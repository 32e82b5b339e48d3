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
#include <utility>

#include "packet/packet.h"
#include "packet/pass_counter.h"
#include "packet/pool.h"
#include "wire/packet_layout.h"
#include "wire/roce.h"

namespace tideline::packet {

// Where each packet's payload lies in the frame, and the headers before it: pure.
class RoceCut {
 public:
  // `head` holds the first bytes of the frame, all headers at least. Nothing if it is none of
  // Gso::kRoce, its headers are not those of RoCE, or it has an opcode that is not spread over
  // packets and more payload than one of them takes.
  static std::optional<RoceCut> create(wire::Bytes head, std::size_t frame_size,
                                       const Offload& offload);

  struct Part {
    std::size_t offset = 0;  // of its payload in the frame
    std::size_t size = 0;
    std::size_t header_size = 0;  // from Ethernet on
    std::size_t pad = 0;
  };
  std::size_t count() const { return count_; }
  Part part(std::size_t index) const;
  // Writes part(index).header_size bytes to `out`; `head` is that of the frame.
  void write_headers(std::size_t index, wire::Bytes head, wire::MutableBytes out) const;
  // Of one of the packets, which is so long.
  wire::PacketLayout layout_of(std::size_t packet_size) const;

 private:
  RoceCut(const wire::PacketLayout& layout, const wire::Roce& headers, std::size_t mtu);
  wire::Roce headers_of(std::size_t index) const;

  wire::PacketLayout layout_;
  wire::Roce headers_;
  std::size_t payload_at_ = 0;
  std::size_t payload_size_ = 0;  // without pad
  std::size_t mtu_ = 0;
  std::size_t count_ = 1;
};

class RoceSegmenter {
 public:
  // Nothing if the frame cannot be cut, or its headers do not lie in the first segment.
  static std::optional<RoceSegmenter> create(PacketPtr frame);

  std::size_t count() const { return cut_.count(); }
  bool done() const { return index_ == count(); }
  // The next packet, a whole frame ready for a wire. Null if the pool is exhausted: call again, or
  // give up.
  PacketPtr next(Pool& pool, PassCounter& passes);

 private:
  RoceSegmenter(PacketPtr frame, const RoceCut& cut) : frame_(std::move(frame)), cut_(cut) {}

  PacketPtr frame_;
  RoceCut cut_;
  std::size_t index_ = 0;
};

// Computes the ICRC of a frame that is one packet, and puts it into its last bytes. The headers up
// to the end of the BTH lie in the first segment.
void fill_icrc(Packet& frame, const wire::PacketLayout& layout, PassCounter& passes);

}  // namespace tideline::packet
