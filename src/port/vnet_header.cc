// SPDX-License-Identifier: Apache-2.0
#include "port/vnet_header.h"

#include <optional>

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

// Where the transport header ends: hdr_len is only a hint, and the kernel often gives the length of
// whatever was contiguous.
std::optional<std::uint16_t> header_end(const packet::Packet& frame, const Offload& offload) {
  constexpr std::size_t kDataOffset =
      12;  // of TCP: the header's length in words, in the upper half
  constexpr std::size_t kUdpHeader = 8;
  const auto bytes = frame.first().bytes();
  const std::size_t start = offload.checksum_start;
  std::size_t end = start + kUdpHeader;
  if (offload.gso != Gso::kUdp) {
    if (start + kDataOffset >= bytes.size()) return std::nullopt;
    end = start + (std::to_integer<std::size_t>(bytes[start + kDataOffset]) >> 4) * 4;
  }
  if (end <= start || end > bytes.size() || end >= frame.size()) return std::nullopt;
  return static_cast<std::uint16_t>(end);
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
  Offload& offload = frame.meta().offload;
  offload = {};
  if ((header.flags & kNeedsChecksum) != 0) {
    if (header.csum_start + header.csum_offset + 2U > frame.size()) return false;
    offload.checksum = Checksum::kNeeded;
    offload.checksum_start = header.csum_start;
    offload.checksum_offset = header.csum_offset;
  } else if ((header.flags & kDataValid) != 0) {
    offload.checksum = Checksum::kValid;
  }
  const auto gso = gso_of(header.gso_type & ~unsigned{kGsoEcn});
  if (!gso) return false;
  if (*gso == Gso::kNone) return true;
  if (header.gso_size == 0 || offload.checksum != Checksum::kNeeded) return false;
  offload.gso = *gso;
  offload.gso_ecn = (header.gso_type & kGsoEcn) != 0;
  offload.gso_size = header.gso_size;
  const auto end = header_end(frame, offload);
  if (!end) return false;
  offload.header_length = *end;
  return true;
}

}  // namespace tideline::port
