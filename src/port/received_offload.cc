// SPDX-License-Identifier: Apache-2.0
#include "port/received_offload.h"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace tideline::port {
namespace {

using packet::Checksum;
using packet::Gso;
using packet::Offload;

// Where the headers end that each segment repeats.
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

// RDMA's headers are rdma's to read; the frame may do without a checksum.
std::optional<std::uint16_t> roce_header_end(const packet::Packet& frame, const Offload& claimed) {
  const std::size_t end = claimed.header_length;
  if (end > frame.first().bytes().size() || end >= frame.size()) return std::nullopt;
  return claimed.header_length;
}

}  // namespace

bool adopt_offload(const Offload& claimed, packet::Packet& frame) {
  Offload& offload = frame.meta().offload;
  offload = {.checksum = claimed.checksum};
  if (claimed.checksum == Checksum::kNeeded) {
    if (claimed.checksum_start + claimed.checksum_offset + 2U > frame.size()) return false;
    offload.checksum_start = claimed.checksum_start;
    offload.checksum_offset = claimed.checksum_offset;
  }
  if (claimed.gso == Gso::kNone) return true;
  const bool roce = claimed.gso == Gso::kRoce;
  if (claimed.gso_size == 0 || (claimed.checksum != Checksum::kNeeded && !roce)) return false;
  offload.gso = claimed.gso;
  offload.gso_ecn = claimed.gso_ecn;
  offload.gso_size = claimed.gso_size;
  const auto end = roce ? roce_header_end(frame, claimed) : header_end(frame, offload);
  if (!end) return false;
  offload.header_length = *end;
  return true;
}

}  // namespace tideline::port
