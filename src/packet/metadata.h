// SPDX-License-Identifier: Apache-2.0
// What travels beside a packet's bytes. The offload part has the semantics of virtio_net_hdr
// (VIRTIO 1.2 §5.1.6), because TAP, vhost-user, AF_PACKET and real NICs all speak it or a subset.
// Written by ports and by the protocol that builds a packet; read by nic and ports.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace tideline::packet {

enum class Checksum : std::uint8_t {
  // The checksum field holds what it must; on receive nobody has looked at it.
  kInPacket,
  // The field holds the sum of the pseudo-header only. Whoever sends the packet to a wire sums from
  // checksum_start to the end and puts the result at checksum_start + checksum_offset. A packet
  // that is received like this never was on a wire: it is intact.
  kNeeded,
  // Received, and verified by the NIC or by whoever handed the packet over.
  kValid,
};

// A packet that stands for several on the wire. Its length fields speak of the whole; a GSO packet
// needs its checksum.
enum class Gso : std::uint8_t {
  kNone,
  kTcpV4,
  kTcpV6,
  kUdp,   // USO: datagrams of gso_size bytes of payload, the last may be shorter
  kRoce,  // private: gso_size is the path MTU, segmentation is rdma's business
};

struct Offload {
  Checksum checksum = Checksum::kInPacket;
  Gso gso = Gso::kNone;
  // The packet has CWR set: only the first segment may carry it (RFC 3168 §6.1.2).
  bool gso_ecn = false;
  std::uint16_t checksum_start = 0;   // offset of the first byte to sum, from the frame's begin
  std::uint16_t checksum_offset = 0;  // of the checksum field, from checksum_start
  std::uint16_t gso_size = 0;         // payload bytes per segment; > 0 if gso is not kNone
  std::uint16_t header_length = 0;    // bytes of headers that each segment repeats
};

struct Metadata {
  Offload offload;
  std::uint32_t rss_hash = 0;
  std::uint16_t queue = 0;      // where it was received, or is to be sent
  std::uint16_t function = 0;   // the NIC function that it belongs to
  std::uint32_t flow_mark = 0;  // set by a flow-table action
  Instant timestamp{};          // of reception
};

}  // namespace tideline::packet
