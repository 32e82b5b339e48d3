// SPDX-License-Identifier: Apache-2.0
// Segmentation of frames that a guest or a program has made up, with metadata that fits, nearly
// fits or is made up too. The last bytes of the input choose, so that seeds are frames as they are.
#include "nic/segmenter.h"

#include <cstring>
#include <vector>

#include "base/check.h"
#include "wire/packet_layout.h"
#include "wire/protocol.h"

namespace tideline::nic {
namespace {

using packet::Gso;

struct Choices {
  std::uint8_t what = 0;  // one bit per field that is not made to fit
  std::uint8_t gso = 0;
  std::uint16_t gso_size = 0;
  std::uint16_t made_up = 0;
};

packet::Offload offload_for(wire::Bytes frame, const Choices& choices) {
  packet::Offload offload{.checksum = packet::Checksum::kNeeded,
                          .gso = static_cast<Gso>(choices.gso % 5),
                          .gso_ecn = (choices.gso & 0x80) != 0,
                          .checksum_start = choices.made_up,
                          .checksum_offset = choices.made_up,
                          .gso_size = choices.gso_size,
                          .header_length = choices.made_up};
  const auto layout = wire::parse_layout(frame, frame.size(), {.accept_vlan = true});
  if (!layout) return offload;
  const bool tcp = layout->protocol == wire::kProtocolTcp;
  if ((choices.what & 1) == 0) offload.checksum_start = layout->l4;
  if ((choices.what & 2) == 0) offload.checksum_offset = tcp ? 16 : 6;
  if ((choices.what & 4) == 0) offload.header_length = layout->payload;
  if ((choices.what & 8) == 0) {
    offload.gso = !tcp ? Gso::kUdp : layout->ip_version == 4 ? Gso::kTcpV4 : Gso::kTcpV6;
  }
  return offload;
}

// Each segment is well-formed and its checksum is right, as far as the pseudo-header's sum in the
// frame was; together they have the payload, in order.
void check_segments(const Segmenter& cut, wire::Bytes frame) {
  CHECK(cut.count() > 0 && cut.header_size() <= frame.size());
  std::size_t at = cut.header_size();
  for (std::size_t i = 0; i < cut.count(); ++i) {
    const Piece piece = cut.payload(i);
    CHECK(piece.offset == at && piece.size > 0, "{} at {}", piece.offset, at);
    at += piece.size;
    const std::size_t size = cut.header_size() + piece.size;
    CHECK(size <= cut.longest());
    std::vector<std::byte> segment(size);
    cut.write_headers(i, std::span(segment).first(cut.header_size()));
    std::memcpy(segment.data() + cut.header_size(), frame.data() + piece.offset, piece.size);
    const auto layout = wire::parse_layout(segment, size, {.accept_vlan = true});
    CHECK(layout.has_value() && layout->end == size && layout->payload == cut.header_size());
    const std::size_t field =
        std::size_t{cut.offload().checksum_start} + cut.offload().checksum_offset;
    // Filled in, the field is the complement of the sum over the rest and what it held before.
    wire::PartialChecksum sum;
    sum.add(wire::Bytes(segment).subspan(field, 2));
    wire::PartialChecksum payload;
    payload.add(frame.subspan(piece.offset, piece.size));
    cut.fill_checksum(segment, payload);
    sum.add(wire::Bytes(segment).subspan(cut.offload().checksum_start));
    CHECK(sum.valid(), "segment {} of {}", i, cut.count());
  }
  CHECK(at == frame.size());
}

}  // namespace
}  // namespace tideline::nic

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline;
  nic::Choices choices;
  if (size < sizeof(choices)) return 0;
  size -= sizeof(choices);
  std::memcpy(&choices, data + size, sizeof(choices));
  // A copy of its own: AddressSanitizer sees any read behind it.
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  std::vector<std::byte> frame(bytes, bytes + size);
  // The IPv4 checksum is made right, or nothing would get past it.
  constexpr std::size_t kL3 = 14;
  if (size >= kL3 + sizeof(wire::Ipv4Header)) {
    const wire::MutableBytes packet = wire::MutableBytes(frame).subspan(kL3);
    auto& header = wire::view_as<wire::Ipv4Header>(packet);
    const std::size_t header_size = std::min(header.header_size(), packet.size());
    if (header.version() == 4) {
      header.checksum = wire::be16(0);
      header.checksum = wire::be16(wire::checksum(packet.first(header_size)));
    }
  }
  const auto cut = nic::Segmenter::create(frame, nic::offload_for(frame, choices));
  if (cut) nic::check_segments(*cut, frame);
  return 0;
}
