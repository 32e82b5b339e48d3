// SPDX-License-Identifier: Apache-2.0
// Frames at ingress, whole and with only the first bytes at hand. The IPv4 checksum is made right,
// or nothing would get past it.
#include "wire/packet_layout.h"

#include "round_trip.h"
#include "wire/checksum.h"
#include "wire/protocol.h"

namespace tideline::wire {
namespace {

void check_layout(Bytes head, std::size_t frame_size) {
  for (const bool accept_vlan : {false, true}) {
    const auto layout = parse_layout(head, frame_size, {.accept_vlan = accept_vlan});
    if (!layout) continue;
    CHECK(layout->l3 <= layout->l4 && layout->l4 <= layout->payload &&
          layout->payload <= layout->end && layout->end <= frame_size);
    CHECK(layout->payload <= head.size());
    CHECK(layout->l4_bytes(head).size() <= layout->l4_size());
    if (layout->is_fragment()) continue;
    // The accessors and the parser that go on from here.
    if (layout->protocol == kProtocolTcp && layout->ip_version != 0) {
      CHECK(layout->tcp(head).header_size() == std::size_t{layout->payload} - layout->l4);
      const auto tcp = parse_tcp(layout->l4_bytes(head));
      CHECK(tcp.has_value() || tcp.error() == DropReason::kTcpOptionLength ||
            tcp.error() == DropReason::kTcpAuthentication);
    }
  }
}

}  // namespace
}  // namespace tideline::wire

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tideline::wire;
  std::vector<std::byte> frame(input_bytes(data, size).begin(), input_bytes(data, size).end());
  constexpr std::size_t kL3 = sizeof(EthernetHeader);
  if (frame.size() >= kL3 + sizeof(Ipv4Header)) {
    const MutableBytes packet = MutableBytes(frame).subspan(kL3);
    auto& header = view_as<Ipv4Header>(packet);
    const std::size_t header_size = std::min(header.header_size(), packet.size());
    if (header.version() == 4) {
      header.checksum = be16(0);
      header.checksum = be16(checksum(packet.first(header_size)));
    }
    CHECK(!is_plain_ipv4(packet, packet.size()) ||
          check_ipv4(packet, packet.size()) == std::uint16_t{sizeof(Ipv4Header)});
  }
  check_layout(frame, frame.size());
  // A copy of its own: AddressSanitizer sees any read behind the first segment.
  const std::vector<std::byte> head(frame.begin(),
                                    frame.begin() + static_cast<std::ptrdiff_t>(size / 2));
  check_layout(head, frame.size());
  return 0;
}
