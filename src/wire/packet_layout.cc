// SPDX-License-Identifier: Apache-2.0
#include "wire/packet_layout.h"

#include "wire/protocol.h"

namespace tideline::wire {
namespace {

using Result = std::expected<PacketLayout, Refusal>;

// Fills a result in place, header by header. Steps return whether to go on: returning the layout,
// or an expected, from each would copy what has just been written in small pieces, which stalls the
// loads and costs more than the checks.
class LayoutParser {
 public:
  LayoutParser(Bytes head, std::size_t frame_size, Result& result)
      : head_(head), frame_size_(frame_size), result_(result), layout_(*result) {}

  bool run(LayoutOptions options) {
    if (!lay_ethernet(options)) return false;
    const Bytes packet = head_.subspan(layout_.l3);
    const std::size_t packet_size = frame_size_ - layout_.l3;
    if (layout_.ether_type == kEtherTypeIpv4) {
      if (!lay_ipv4(packet, packet_size)) return false;
    } else if (layout_.ether_type == kEtherTypeIpv6) {
      if (!lay_ipv6(packet, packet_size)) return false;
    } else if (layout_.is_grh()) {
      return lay_grh(packet, packet_size);
    } else {
      layout_.l4 = layout_.payload = layout_.l3;
      layout_.end = static_cast<std::uint32_t>(frame_size_);
      return true;
    }
    layout_.payload = layout_.l4;
    return layout_.is_fragment() || lay_transport();
  }

 private:
  bool refuse(Refusal refusal) {
    result_ = std::unexpected(refusal);
    return false;
  }
  bool refuse(DropReason reason) { return refuse(Refusal{reason}); }

  // Untagged frames, nearly all of them, are read in place.
  bool lay_ethernet(LayoutOptions options) {
    if (frame_size_ < sizeof(EthernetHeader)) return refuse(DropReason::kEthernetShort);
    if (head_.size() < sizeof(EthernetHeader)) return refuse(DropReason::kHeadersScattered);
    const auto& header = view_as<EthernetHeader>(head_);
    layout_.cast = link_cast(header.destination);
    layout_.ether_type = header.ether_type.value();
    layout_.l3 = sizeof(EthernetHeader);
    if (is_vlan(layout_.ether_type)) {
      if (!options.accept_vlan) return refuse(DropReason::kVlanNotConfigured);
      if (!lay_tags()) return false;
    }
    if (layout_.ether_type < kEtherTypeMinimum) return refuse(DropReason::kEthernetLengthField);
    if (frame_size_ == layout_.l3) return refuse(DropReason::kEthernetEmpty);
    return true;
  }

  bool lay_tags() {
    const auto ethernet = parse_ethernet(head_, frame_size_);
    if (!ethernet) return refuse(ethernet.error());
    layout_.ether_type = ethernet->ether_type;
    layout_.vlan_tags = ethernet->tag_count;
    layout_.vlan_tci = ethernet->tags[0].tci;
    layout_.l3 = static_cast<std::uint16_t>(ethernet->header_size());
    return true;
  }

  bool lay_ipv4(Bytes packet, std::size_t size) {
    const bool plain = is_plain_ipv4(packet, size);
    std::size_t header_size = sizeof(Ipv4Header);
    if (!plain) {
      const auto checked = check_ipv4(packet, size);
      if (!checked) return refuse(checked.error());
      header_size = *checked;
    }
    const auto& header = view_as<Ipv4Header>(packet);
    layout_.ip_version = 4;
    layout_.protocol = header.protocol;
    layout_.l4 = static_cast<std::uint16_t>(layout_.l3 + header_size);
    layout_.end = std::uint32_t{layout_.l3} + header.total_length.value();
    if (!plain && header.is_fragment()) {
      layout_.more_fragments = header.more_fragments();
      layout_.fragment_offset = header.fragment_offset();
      layout_.fragment_id = header.identification.value();
    }
    return true;
  }

  bool lay_ipv6(Bytes packet, std::size_t size) {
    const auto payload_length = check_ipv6(packet, size);
    if (!payload_length) return refuse(payload_length.error());
    const std::size_t packet_size = sizeof(Ipv6Header) + *payload_length;
    layout_.ip_version = 6;
    layout_.end = static_cast<std::uint32_t>(layout_.l3 + packet_size);
    layout_.protocol = view_as<Ipv6Header>(packet).next_header;
    layout_.l4 = static_cast<std::uint16_t>(layout_.l3 + sizeof(Ipv6Header));
    return !is_ipv6_extension(layout_.protocol) || lay_extensions(packet, packet_size);
  }

  bool lay_extensions(Bytes packet, std::size_t packet_size) {
    const auto extensions = parse_ipv6_extensions(packet, packet_size);
    if (!extensions) return refuse(extensions.error());
    layout_.protocol = extensions->protocol;
    layout_.l4 = static_cast<std::uint16_t>(layout_.l3 + extensions->upper);
    if (extensions->fragment == 0) return true;
    const auto& fragment = view_as<Ipv6FragmentHeader>(packet.subspan(extensions->fragment));
    layout_.fragment_header = static_cast<std::uint16_t>(layout_.l3 + extensions->fragment);
    layout_.fragment_next_at =
        static_cast<std::uint16_t>(layout_.l3 + extensions->fragment_next_at);
    layout_.more_fragments = fragment.more();
    layout_.fragment_offset = fragment.offset();
    if (layout_.is_fragment()) layout_.fragment_id = fragment.identification.value();
    return true;
  }

  // IBA 8.3, annex A16: a GRH has the form of an IPv6 header, and rules of its own for addresses.
  bool lay_grh(Bytes packet, std::size_t size) {
    const auto payload_length = check_ipv6(packet, size);
    if (!payload_length) return refuse(payload_length.error());
    layout_.protocol = view_as<Ipv6Header>(packet).next_header;
    if (layout_.protocol != kProtocolGrh) return refuse(DropReason::kRoceNextHeader);
    layout_.l4 = layout_.payload = static_cast<std::uint16_t>(layout_.l3 + sizeof(Ipv6Header));
    layout_.end = std::uint32_t{layout_.l4} + *payload_length;
    return true;
  }

  bool lay_transport() {
    if (layout_.protocol == kProtocolTcp) {
      const auto header_size = check_tcp(head_.subspan(layout_.l4), layout_.l4_size());
      if (!header_size) return refuse(header_size.error());
      layout_.payload = static_cast<std::uint16_t>(layout_.l4 + *header_size);
    } else if (layout_.protocol == kProtocolUdp) {
      const auto length = check_udp(head_.subspan(layout_.l4), layout_.l4_size());
      if (!length) return refuse(length.error());
      layout_.payload = static_cast<std::uint16_t>(layout_.l4 + sizeof(UdpHeader));
      layout_.end = std::uint32_t{layout_.l4} + *length;  // RFC 768: UDP's own length rules
    }
    return true;
  }

  Bytes head_;
  std::size_t frame_size_;
  Result& result_;
  PacketLayout& layout_;
};

}  // namespace

std::expected<PacketLayout, Refusal> parse_layout(Bytes head, std::size_t frame_size,
                                                  LayoutOptions options) {
  Result result;
  LayoutParser(head, frame_size, result).run(options);
  return result;
}

}  // namespace tideline::wire
