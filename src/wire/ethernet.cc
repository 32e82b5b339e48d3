// SPDX-License-Identifier: Apache-2.0
#include "wire/ethernet.h"

namespace tideline::wire {

Parsed<Ethernet> parse_ethernet(Bytes head, std::size_t frame_size) {
  if (frame_size < sizeof(EthernetHeader)) return drop(DropReason::kEthernetShort);
  if (head.size() < sizeof(EthernetHeader)) return drop(DropReason::kHeadersScattered);
  const auto& header = view_as<EthernetHeader>(head);
  Ethernet ethernet{.destination = header.destination,
                    .source = header.source,
                    .ether_type = header.ether_type.value()};
  while (is_vlan(ethernet.ether_type)) {
    if (ethernet.tag_count == kMaxVlanTags) return drop(DropReason::kVlanTooDeep);
    const std::size_t tag_end = ethernet.header_size() + sizeof(VlanHeader);
    if (frame_size < tag_end) return drop(DropReason::kVlanTruncated);
    if (head.size() < tag_end) return drop(DropReason::kHeadersScattered);
    const auto& tag = view_as<VlanHeader>(head.subspan(ethernet.header_size()));
    ethernet.tags[ethernet.tag_count++] = {.ether_type = ethernet.ether_type,
                                           .tci = tag.tci.value()};
    ethernet.ether_type = tag.ether_type.value();
  }
  if (ethernet.ether_type < kEtherTypeMinimum) return drop(DropReason::kEthernetLengthField);
  if (frame_size == ethernet.header_size()) return drop(DropReason::kEthernetEmpty);
  return ethernet;
}

std::size_t emit(const Ethernet& ethernet, MutableBytes out) {
  CHECK(out.size() >= ethernet.header_size());
  auto& header = view_as<EthernetHeader>(out);
  header.destination = ethernet.destination;
  header.source = ethernet.source;
  be16* next_type = &header.ether_type;
  MutableBytes rest = out.subspan(sizeof(EthernetHeader));
  for (std::size_t i = 0; i < ethernet.tag_count; ++i) {
    auto& tag = view_as<VlanHeader>(rest);
    *next_type = be16(ethernet.tags[i].ether_type);
    tag.tci = be16(ethernet.tags[i].tci);
    next_type = &tag.ether_type;
    rest = rest.subspan(sizeof(VlanHeader));
  }
  *next_type = be16(ethernet.ether_type);
  return ethernet.header_size();
}

}  // namespace tideline::wire
