// SPDX-License-Identifier: Apache-2.0
#include "port/vnet_header.h"

#include <optional>

#include "port/received_offload.h"

namespace tideline::port {
namespace {

using packet::Checksum;
using packet::Gso;
using packet::Offload;

// VIRTIO 1.2 §5.1.6
constexpr std::uint8_t kNeedsChecksum = 1;
constexpr std::uint8_t kDataValid = 2;
constexpr std::uint8_t kGsoNone = 0;
constexpr std::uint8_t kGsoTcpV4 = 1;
constexpr std::uint8_t kGsoTcpV6 = 4;
constexpr std::uint8_t kGsoUdpL4 = 5;  // since Linux 6.2
constexpr std::uint8_t kGsoEcn = 0x80;

std::uint8_t gso_code(Gso gso) {
  switch (gso) {
    case Gso::kTcpV4:
      return kGsoTcpV4;
    case Gso::kTcpV6:
      return kGsoTcpV6;
    case Gso::kUdp:
      return kGsoUdpL4;
    case Gso::kRoce:  // no port that speaks virtio_net_hdr offers it
    case Gso::kNone:
      break;
  }
  return kGsoNone;
}

std::optional<Gso> gso_of(unsigned code) {
  switch (code) {
    case kGsoNone:
      return Gso::kNone;
    case kGsoTcpV4:
      return Gso::kTcpV4;
    case kGsoTcpV6:
      return Gso::kTcpV6;
    case kGsoUdpL4:
      return Gso::kUdp;
    default:
      return std::nullopt;
  }
}

}  // namespace

VnetHeader to_vnet(const Offload& offload) {
  VnetHeader header{};
  if (offload.checksum == Checksum::kNeeded) {
    header.flags = kNeedsChecksum;
    header.csum_start = offload.checksum_start;
    header.csum_offset = offload.checksum_offset;
  } else if (offload.checksum == Checksum::kValid) {
    header.flags = kDataValid;
  }
  if (offload.gso != Gso::kNone) {
    header.gso_type = gso_code(offload.gso);
    if (offload.gso_ecn) header.gso_type |= kGsoEcn;
    header.gso_size = offload.gso_size;
    header.hdr_len = offload.header_length;
  }
  return header;
}

bool from_vnet(const VnetHeader& header, packet::Packet& frame) {
  Offload claimed;
  if ((header.flags & kNeedsChecksum) != 0) {
    claimed.checksum = Checksum::kNeeded;
    claimed.checksum_start = header.csum_start;
    claimed.checksum_offset = header.csum_offset;
  } else if ((header.flags & kDataValid) != 0) {
    claimed.checksum = Checksum::kValid;
  }
  const auto gso = gso_of(header.gso_type & ~unsigned{kGsoEcn});
  if (!gso) return false;
  claimed.gso = *gso;
  claimed.gso_ecn = (header.gso_type & kGsoEcn) != 0;
  claimed.gso_size = header.gso_size;
  return adopt_offload(claimed, frame);
}

}  // namespace tideline::port
