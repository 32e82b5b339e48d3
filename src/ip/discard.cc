// SPDX-License-Identifier: Apache-2.0
#include "ip/discard.h"

namespace tideline::ip {
namespace {

struct Entry {
  Discard reason;
  std::string_view name;
  std::string_view explanation;
};

using enum Discard;

constexpr std::array<Entry, kDiscardCount> kDiscards{{
    {kPoolExhausted, "pool_exhausted", "no packet buffer was free"},
    {kEtherType, "ether_type", "EtherType is neither IPv4, IPv6 nor ARP"},
    {kVlanOther, "vlan_other", "frame of another VLAN, or of none"},
    {kNeighbourQueueFull, "neighbour_queue_full",
     "too many packets wait for a neighbour's address; the oldest went"},
    {kNeighbourTableFull, "neighbour_table_full",
     "a neighbour spoke to us, and the table is full of neighbours in use"},
    {kNeighbourEvicted, "neighbour_evicted",
     "packet waited for a neighbour that gave way to another"},
    {kNeighbourUnresolved, "neighbour_unresolved", "neighbour did not answer"},
    {kArpUnsolicited, "arp_unsolicited", "ARP reply that nobody asked for"},
    {kArpSenderNotCacheable, "arp_sender_not_cacheable",
     "ARP sender's address is none that a station may have"},
    {kArpSenderOffLink, "arp_sender_off_link", "ARP sender's address is not on this link"},
    {kArpNotForUs, "arp_not_for_us", "ARP request for another's address"},
    {kAddressConflict, "address_conflict", "another station uses our address"},
    {kNdpUnsolicited, "ndp_unsolicited", "advertisement of a neighbour that we do not talk to"},
    {kNdpClaimIgnored, "ndp_claim_ignored",
     "advertisement that says too little of a neighbour, or contradicts what is known"},
    {kNdpNotForUs, "ndp_not_for_us", "neighbour solicitation for another's address"},
    {kNdpSourceOffLink, "ndp_source_off_link", "solicitation from an address not on this link"},
    {kNdpDuplicateProbe, "ndp_duplicate_probe",
     "solicitation for an address that we are still testing"},
    {kNdpRouterMessage, "ndp_router_message", "router discovery, which this host does not use"},
    {kNdpRedirect, "ndp_redirect", "ICMPv6 redirect from other than the first hop"},
    {kNdpFragmented, "ndp_fragmented", "neighbour discovery in fragments, or beyond all measure"},
    {kNdpTooManyRouters, "ndp_too_many_routers", "more routers on the link than we keep in mind"},
    {kNdpTooManyPrefixes, "ndp_too_many_prefixes", "more prefixes advertised than we use"},
    {kGroupMessageFromAfar, "group_message_from_afar",
     "IGMP or MLD that does not look as if it came from this link"},
    {kLinkMulticast, "link_multicast", "IP unicast inside an Ethernet broadcast or multicast"},
    {kSourceIsOurs, "source_is_ours", "packet claims to come from us"},
    {kSourceBroadcast, "source_broadcast", "source is the broadcast address of our network"},
    {kSourceUnspecified, "source_unspecified", "source is ::, and it is no duplicate test"},
    {kNotOurs, "not_ours", "destination is another host or a group that we are not in"},
    {kProtocolUnknown, "protocol_unknown", "no handler for the protocol"},
    {kDestinationNever, "destination_never",
     "destination is none that a packet on a wire may have: 0/8, 127/8, :: or ::1"},
    {kNoRoute, "no_route", "no route to the destination"},
    {kNoSource, "no_source", "no address of ours can be the source"},
    {kSourceNotOurs, "source_not_ours", "the source to send from is no address of ours"},
    {kTooBig, "too_big", "larger than the path's MTU, and not to be fragmented"},
    {kLoopbackFull, "loopback_full", "too many packets to ourselves wait"},
    {kFragmentDuplicate, "fragment_duplicate", "fragment is here already"},
    {kFragmentOverlap, "fragment_overlap", "fragments overlap; the datagram went"},
    {kFragmentTotalDiffers, "fragment_total_differs",
     "fragments disagree on where the datagram ends; it went"},
    {kFragmentTooMany, "fragment_too_many", "datagram in too many fragments; it went"},
    {kFragmentPoisoned, "fragment_poisoned", "fragment of a datagram that was given up"},
    {kReassemblyEvicted, "reassembly_evicted",
     "incomplete datagram gave way to newer ones; its fragments went"},
    {kReassemblyTimeout, "reassembly_timeout", "datagram was not completed in time"},
    {kReassemblyTooLarge, "reassembly_too_large", "reassembled datagram exceeds 65535 bytes"},
    {kIcmpEchoToGroup, "icmp_echo_to_group", "echo request to a broadcast or multicast address"},
    {kIcmpEchoUnknown, "icmp_echo_unknown", "echo reply that nobody waits for"},
    {kIcmpRateLimited, "icmp_rate_limited", "an error was not reported: rate limit"},
    {kIcmpQuoteNotOurs, "icmp_quote_not_ours", "error about a packet that is not from us"},
    {kIcmpQuoteUnknown, "icmp_quote_unknown", "error about a packet that no protocol has sent"},
    {kPmtuImplausible, "pmtu_implausible",
     "reported MTU is not below the one in use; the protocol was told"},
    {kIcmpRedirect, "icmp_redirect",
     "ICMP redirect from other than the first hop, or to none on the link"},
    {kUdpPortClosed, "udp_port_closed", "UDP port that nobody has opened"},
    {kUdpPortZero, "udp_port_zero", "UDP datagram to port 0, which nobody can have"},
    {kUdpSocketFull, "udp_socket_full", "UDP datagram for a socket whose buffer is full"},
    {kUdpNotFromPeer, "udp_not_from_peer", "UDP datagram for a connected socket, from another"},
    {kReportsFull, "reports_full", "ICMP error for a socket that has not read those before"},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kDiscards.size(); ++i) {
    if (static_cast<std::size_t>(kDiscards[i].reason) != i) return false;
  }
  return true;
}
static_assert(in_order(), "kDiscards follows the enumeration");

}  // namespace

std::string_view name_of(Discard reason) {
  return kDiscards[static_cast<std::size_t>(reason)].name;
}

std::string_view explain(Discard reason) {
  return kDiscards[static_cast<std::size_t>(reason)].explanation;
}

}  // namespace tideline::ip
