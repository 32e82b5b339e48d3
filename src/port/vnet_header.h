// SPDX-License-Identifier: Apache-2.0
// Offload metadata in the kernel's form, struct virtio_net_hdr, which TAP and AF_PACKET put before
// each frame. VIRTIO 1.2 §5.1.6, linux/virtio_net.h. Any thread.
#pragma once

#include <cstdint>

#include "packet/metadata.h"
#include "packet/packet.h"

namespace tideline::port {

// Ours, for linux/virtio_net.h is no C++ (a member is called `class`). In the byte order of the
// machine, as the kernel has it unless told otherwise.
struct VnetHeader {
  std::uint8_t flags;
  std::uint8_t gso_type;
  std::uint16_t hdr_len;
  std::uint16_t gso_size;
  std::uint16_t csum_start;
  std::uint16_t csum_offset;
};
static_assert(sizeof(VnetHeader) == 10);

VnetHeader to_vnet(const packet::Offload& offload);

// Sets the frame's offload metadata. False if the header contradicts the frame, which the other
// side may have made up. Headers must lie in the first segment.
bool from_vnet(const VnetHeader& header, packet::Packet& frame);

}  // namespace tideline::port
