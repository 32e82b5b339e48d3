// SPDX-License-Identifier: Apache-2.0
#include "wire/drop_reason.h"

#include <array>

namespace tideline::wire {
namespace {

struct Entry {
  DropReason reason;
  std::string_view name;
  std::string_view explanation;
};

using enum DropReason;

constexpr std::array<Entry, kDropReasonCount> kDropReasons{{
    {kEthernetShort, "ethernet_short", "Ethernet frame shorter than its header"},
    {kEthernetEmpty, "ethernet_empty", "Ethernet frame without payload"},
    {kEthernetLengthField, "ethernet_length_field", "IEEE 802.3 length where an EtherType belongs"},
    {kVlanTruncated, "vlan_truncated", "frame ends inside a VLAN tag"},
    {kVlanTooDeep, "vlan_too_deep", "more than two VLAN tags"},
    {kVlanNotConfigured, "vlan_not_configured", "VLAN tag on a port without VLANs"},
    {kHeadersScattered, "headers_scattered",
     "headers reach beyond the first segment of the packet"},
    {kArpShort, "arp_short", "ARP packet shorter than 28 bytes"},
    {kArpHardwareType, "arp_hardware_type", "ARP hardware type is not Ethernet"},
    {kArpHardwareLength, "arp_hardware_length", "ARP hardware address length is not 6"},
    {kArpProtocolType, "arp_protocol_type", "ARP protocol type is not IPv4"},
    {kArpProtocolLength, "arp_protocol_length", "ARP protocol address length is not 4"},
    {kArpOperation, "arp_operation", "ARP operation is neither request nor reply"},
    {kArpSenderMulticast, "arp_sender_multicast",
     "ARP sender's Ethernet address is a multicast or broadcast"},
    {kIpv4Short, "ipv4_short", "IPv4 packet shorter than 20 bytes"},
    {kIpv4Version, "ipv4_version", "IPv4 version is not 4"},
    {kIpv4HeaderLength, "ipv4_header_length", "IPv4 header length below 20 bytes"},
    {kIpv4HeaderBeyondPacket, "ipv4_header_beyond_packet",
     "IPv4 header longer than the bytes received"},
    {kIpv4LengthBelowHeader, "ipv4_length_below_header",
     "IPv4 total length below the header length"},
    {kIpv4LengthBeyondFrame, "ipv4_length_beyond_frame",
     "IPv4 total length beyond the end of the frame"},
    {kIpv4Checksum, "ipv4_checksum", "IPv4 header checksum is wrong"},
    {kIpv4SourceUnspecified, "ipv4_source_unspecified", "IPv4 source is 0.0.0.0"},
    {kIpv4SourceMulticast, "ipv4_source_multicast", "IPv4 source is a multicast address"},
    {kIpv4SourceBroadcast, "ipv4_source_broadcast", "IPv4 source is 255.255.255.255"},
    {kIpv4SourceReserved, "ipv4_source_reserved", "IPv4 source is in class E"},
    {kIpv4SourceLoopback, "ipv4_source_loopback", "IPv4 source is a loopback address, on a wire"},
    {kIpv4DestinationLoopback, "ipv4_destination_loopback",
     "IPv4 destination is a loopback address, on a wire"},
    {kIpv4OptionLength, "ipv4_option_length", "IPv4 option length below its minimum"},
    {kIpv4OptionBeyondHeader, "ipv4_option_beyond_header", "IPv4 option runs past the header"},
    {kIpv4OptionPointer, "ipv4_option_pointer",
     "pointer of an IPv4 record route or timestamp option out of range"},
    {kIpv4SourceRoute, "ipv4_source_route", "IPv4 source route"},
    {kIpv4FragmentEmpty, "ipv4_fragment_empty", "IPv4 fragment without payload"},
    {kIpv4FragmentUnaligned, "ipv4_fragment_unaligned",
     "IPv4 fragment before the last is no multiple of 8 bytes"},
    {kIpv4FragmentBeyondMaximum, "ipv4_fragment_beyond_maximum",
     "IPv4 fragment ends beyond 65535 bytes"},
    {kIpv6Short, "ipv6_short", "IPv6 packet shorter than 40 bytes"},
    {kIpv6Version, "ipv6_version", "IPv6 version is not 6"},
    {kIpv6LengthBeyondFrame, "ipv6_length_beyond_frame",
     "IPv6 payload length beyond the end of the frame"},
    {kIpv6Jumbogram, "ipv6_jumbogram", "IPv6 jumbo payload option"},
    {kIpv6SourceMulticast, "ipv6_source_multicast", "IPv6 source is a multicast address"},
    {kIpv6SourceLoopback, "ipv6_source_loopback", "IPv6 source is ::1, on a wire"},
    {kIpv6DestinationLoopback, "ipv6_destination_loopback", "IPv6 destination is ::1, on a wire"},
    {kIpv6DestinationScope, "ipv6_destination_scope",
     "IPv6 multicast of reserved or interface-local scope, on a wire"},
    {kIpv6ExtensionTruncated, "ipv6_extension_truncated",
     "IPv6 packet ends inside an extension header"},
    {kIpv6ExtensionTooMany, "ipv6_extension_too_many", "too many IPv6 extension headers"},
    {kIpv6HopByHopMisplaced, "ipv6_hop_by_hop_misplaced",
     "IPv6 hop-by-hop options are not the first extension header"},
    {kIpv6RoutingType0, "ipv6_routing_type0", "IPv6 routing header of type 0 with segments left"},
    {kIpv6RoutingNotOurs, "ipv6_routing_not_ours",
     "IPv6 routing header with segments left, and we are no router"},
    {kIpv6OptionBeyondHeader, "ipv6_option_beyond_header",
     "IPv6 option runs past its extension header"},
    {kIpv6OptionLength, "ipv6_option_length", "length of a known IPv6 option is wrong"},
    {kIpv6OptionUnknown, "ipv6_option_unknown",
     "unknown IPv6 option that asks to be dropped in silence"},
    {kIpv6OptionUnknownReport, "ipv6_option_unknown_report",
     "unknown IPv6 option that asks to be reported"},
    {kIpv6OptionUnknownReportUnicast, "ipv6_option_unknown_report_unicast",
     "unknown IPv6 option that asks to be reported unless sent to a multicast"},
    {kIpv6FragmentEmpty, "ipv6_fragment_empty", "IPv6 fragment without payload"},
    {kIpv6FragmentUnaligned, "ipv6_fragment_unaligned",
     "IPv6 fragment before the last is no multiple of 8 bytes"},
    {kIpv6FragmentBeyondMaximum, "ipv6_fragment_beyond_maximum",
     "IPv6 fragment ends beyond 65535 bytes"},
    {kIpv6FragmentNested, "ipv6_fragment_nested", "second IPv6 fragment header"},
    {kIpv6FirstFragmentIncomplete, "ipv6_first_fragment_incomplete",
     "first IPv6 fragment lacks part of the header chain"},
    {kIcmpShort, "icmp_short", "ICMP message shorter than 8 bytes"},
    {kIcmpChecksum, "icmp_checksum", "ICMP checksum is wrong"},
    {kIcmpType, "icmp_type", "ICMP type not implemented"},
    {kIcmpSourceQuench, "icmp_source_quench", "ICMP source quench, obsolete"},
    {kIcmpRedirectCode, "icmp_redirect_code", "ICMP redirect of a code that nobody knows"},
    {kIcmpTimestamp, "icmp_timestamp", "ICMP timestamp, not answered"},
    {kIcmpAddressMask, "icmp_address_mask", "ICMP address mask, not answered"},
    {kIcmpMtu, "icmp_mtu", "ICMP fragmentation needed with an MTU below 68"},
    {kIcmpQuoteShort, "icmp_quote_short", "ICMP error quotes less than a header and 8 bytes"},
    {kIcmpQuoteHeader, "icmp_quote_header", "header quoted by an ICMP error is malformed"},
    {kIcmpQuoteFragment, "icmp_quote_fragment",
     "ICMP error about a fragment that is not the first"},
    {kIcmpv6Short, "icmpv6_short", "ICMPv6 message shorter than its header"},
    {kIcmpv6Checksum, "icmpv6_checksum", "ICMPv6 checksum is wrong"},
    {kIcmpv6Type, "icmpv6_type", "ICMPv6 type not implemented"},
    {kIcmpv6Mtu, "icmpv6_mtu", "ICMPv6 packet too big with an MTU below 1280"},
    {kIcmpv6QuoteShort, "icmpv6_quote_short",
     "ICMPv6 error quotes less than the headers and 8 bytes"},
    {kIcmpv6QuoteHeader, "icmpv6_quote_header", "header quoted by an ICMPv6 error is malformed"},
    {kIcmpv6QuoteFragment, "icmpv6_quote_fragment",
     "ICMPv6 error about a fragment that is not the first"},
    {kNdpHopLimit, "ndp_hop_limit",
     "neighbour discovery from beyond the link: hop limit is not 255"},
    {kNdpCode, "ndp_code", "neighbour discovery code is not 0"},
    {kNdpShort, "ndp_short", "neighbour discovery message too short"},
    {kNdpOptionLengthZero, "ndp_option_length_zero", "neighbour discovery option of length 0"},
    {kNdpOptionBeyondMessage, "ndp_option_beyond_message",
     "neighbour discovery option runs past the message"},
    {kNdpOptionSize, "ndp_option_size",
     "neighbour discovery option of the wrong size for its type"},
    {kNdpTargetMulticast, "ndp_target_multicast",
     "neighbour discovery target is a multicast address"},
    {kNdpSourceNotLinkLocal, "ndp_source_not_link_local",
     "router advertisement or redirect from a source that is not link-local"},
    {kNdpProbeDestination, "ndp_probe_destination",
     "solicitation from :: to other than a solicited-node address"},
    {kNdpLinkAddressFromUnspecified, "ndp_link_address_from_unspecified",
     "solicitation from :: with a source link-layer address"},
    {kNdpSolicitedMulticast, "ndp_solicited_multicast",
     "solicited neighbour advertisement to a multicast address"},
    {kNdpRedirectTarget, "ndp_redirect_target",
     "redirect target is neither link-local nor the destination"},
    {kNdpRedirectDestination, "ndp_redirect_destination", "redirect for a multicast destination"},
    {kIgmpShort, "igmp_short", "IGMP message of a length that no version has"},
    {kIgmpChecksum, "igmp_checksum", "IGMP checksum is wrong"},
    {kIgmpType, "igmp_type", "IGMP type not implemented"},
    {kIgmpGroup, "igmp_group", "IGMP group is no multicast address"},
    {kIgmpSources, "igmp_sources", "sources of an IGMP query run past the message"},
    {kMldShort, "mld_short", "MLD message of a length that no version has"},
    {kMldGroup, "mld_group", "MLD group is no multicast address"},
    {kMldSources, "mld_sources", "sources of an MLD query run past the message"},
    {kUdpShort, "udp_short", "UDP datagram shorter than its header"},
    {kUdpLengthBelowHeader, "udp_length_below_header", "UDP length below 8"},
    {kUdpLengthBeyondPacket, "udp_length_beyond_packet", "UDP length beyond the IP payload"},
    {kUdpDestinationPortZero, "udp_destination_port_zero", "UDP destination port 0"},
    {kUdpChecksum, "udp_checksum", "UDP checksum is wrong"},
    {kUdpChecksumMissing, "udp_checksum_missing", "UDP over IPv6 without a checksum"},
    {kTcpShort, "tcp_short", "TCP segment shorter than 20 bytes"},
    {kTcpDataOffsetBelowHeader, "tcp_data_offset_below_header", "TCP data offset below 5"},
    {kTcpDataOffsetBeyondSegment, "tcp_data_offset_beyond_segment",
     "TCP data offset beyond the segment"},
    {kTcpChecksum, "tcp_checksum", "TCP checksum is wrong"},
    {kTcpOptionLength, "tcp_option_length", "TCP option of length 0 or 1"},
    {kTcpAuthentication, "tcp_authentication", "malformed TCP authentication option, or two"},
    {kRoceShort, "roce_short", "RoCE packet shorter than its headers and the ICRC"},
    {kRoceVersion, "roce_version", "RoCE transport version is not 0"},
    {kRoceOpcode, "roce_opcode", "RoCE opcode is reserved, or of a service that is not supported"},
    {kRoceNextHeader, "roce_next_header", "GRH of RoCE v1 that carries something else"},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kDropReasons.size(); ++i) {
    if (static_cast<std::size_t>(kDropReasons[i].reason) != i) return false;
  }
  return true;
}
static_assert(in_order(), "kDropReasons follows the enumeration");

}  // namespace

std::string_view name_of(DropReason reason) {
  return kDropReasons[static_cast<std::size_t>(reason)].name;
}

std::string_view explain(DropReason reason) {
  return kDropReasons[static_cast<std::size_t>(reason)].explanation;
}

}  // namespace tideline::wire
