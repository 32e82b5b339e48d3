// SPDX-License-Identifier: Apache-2.0
// The catalogue of malformed and hostile input (docs/coverage.md), as far as one frame is all of
// it: each frame goes through a whole host, which drops it under the expected counter and no other,
// answers as expected, learns nothing and keeps no packet; then it still answers an honest echo.
// What takes several frames is in malformed_test.cc and fragments_test.cc.
#include <gtest/gtest.h>

#include <optional>
#include <ostream>
#include <string>
#include <variant>
#include <vector>

#include "ip/test_host.h"

namespace tideline::ip {
namespace {

using wire::DropReason;
using wire::IcmpType;
using wire::Icmpv6Type;

// What a frame is counted as; nothing if it is in order.
using Counter = std::variant<std::monostate, DropReason, Discard>;

// Type and code of the ICMP message that answers, at this offset of the frame.
struct Answer {
  std::size_t at;
  unsigned type;
  unsigned code;
};
constexpr Answer kEchoed4{34, 0, 0};
constexpr Answer kEchoed6{54, 129, 0};
constexpr Answer kParameterProblem4{34, 12, 0};

struct Case {
  std::string name;  // ItemNN_...
  ByteVector frame;
  Counter counter;
  std::optional<Answer> answer;

  friend std::ostream& operator<<(std::ostream& out, const Case& each) { return out << each.name; }
};

constexpr std::size_t kIp = 14;  // where the packet starts in the frame

const ByteVector& echo4() {
  static const ByteVector request = icmp({.type = IcmpType::kEchoRequest}, pattern(8, 1));
  return request;
}
ByteVector echo6() { return icmpv6({.type = Icmpv6Type::kEchoRequest}, pattern(8, 1)); }
ByteVector echo_frame4() { return ipv4(wire::kProtocolIcmp, echo4()); }
ByteVector echo_frame6() { return ipv6(wire::kProtocolIcmpv6, echo6()); }

// With the IPv4 header's checksum put right again.
ByteVector summed(ByteVector frame) {
  const wire::MutableBytes packet = wire::MutableBytes(frame).subspan(kIp);
  auto& header = wire::view_as<wire::Ipv4Header>(packet);
  header.checksum = wire::be16(0);
  header.checksum = wire::be16(wire::checksum(packet.first(header.header_size())));
  return frame;
}
// A request for an echo in a packet of these addresses.
ByteVector echo_from(Ipv4Address source, Ipv4Address destination = kOurs4) {
  return ipv4({.protocol = wire::kProtocolIcmp, .source = source, .destination = destination},
              echo4());
}
ByteVector echo_with(std::initializer_list<unsigned> option_bytes) {
  wire::Ipv4 header{.protocol = wire::kProtocolIcmp, .source = kPeer4, .destination = kOurs4};
  for (const unsigned byte : option_bytes) {
    header.options.bytes[header.options.size++] = static_cast<std::byte>(byte);
  }
  return ipv4(header, echo4());
}
ByteVector tagged(const ByteVector& frame, std::uint16_t tag) {
  const auto high = static_cast<std::byte>(tag >> 8);
  return cut(frame, 12) + ByteVector{high, static_cast<std::byte>(tag), {}, std::byte{7}} +
         behind(frame, 12);
}
ByteVector arp_request() {
  return arp({.sender_mac = kPeerMac, .sender_ip = kPeer4, .target_ip = kOurs4});
}

std::vector<Case> link_cases() {
  return {
      {"Item01_FrameShorterThanItsHeader", cut(echo_frame4(), 13), DropReason::kEthernetShort, {}},
      {"Item01_FrameWithoutPayload", cut(echo_frame4(), 14), DropReason::kEthernetEmpty, {}},
      {"Item02_TotalLengthBeyondFrame",
       cut(echo_frame4(), 49),
       DropReason::kIpv4LengthBeyondFrame,
       {}},
      {"Item02_PayloadLengthBeyondFrame_Ipv6",
       cut(echo_frame6(), 69),
       DropReason::kIpv6LengthBeyondFrame,
       {}},
      {"Item03_EthernetPadding", echo_frame4() + pattern(10, 2), {}, kEchoed4},
      {"Item03_EthernetPadding_Ipv6", echo_frame6() + pattern(10, 2), {}, kEchoed6},
      {"Item04_ArpHardwareType", with(arp_request(), 14, {0, 6}), DropReason::kArpHardwareType, {}},
      {"Item04_ArpHardwareLength",
       with(arp_request(), 18, {8}),
       DropReason::kArpHardwareLength,
       {}},
      {"Item04_ArpProtocolLength",
       with(arp_request(), 19, {16}),
       DropReason::kArpProtocolLength,
       {}},
      {"Item04_ArpTruncated", cut(arp_request(), 41), DropReason::kArpShort, {}},
      {"Item06_ArpSenderMulticast",
       with(arp_request(), 22, {0x01}),
       DropReason::kArpSenderMulticast,
       {}},
      {"Item06_ArpSenderUnspecified",
       arp({.sender_mac = kOtherMac, .target_ip = kOther4}, wire::kMacBroadcast),
       Discard::kArpNotForUs,
       {}},
      {"Item07_VlanTag", tagged(echo_frame4(), 0x8100), DropReason::kVlanNotConfigured, {}},
      {"Item07_QinQ",
       tagged(tagged(echo_frame4(), 0x8100), 0x88a8),
       DropReason::kVlanNotConfigured,
       {}},
      {"Item08_UnicastInsideBroadcast",
       with(echo_frame4(), 0, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
       Discard::kLinkMulticast,
       {}},
      {"Item08_UnicastInsideMulticast_Ipv6",
       with(echo_frame6(), 0, {0x33, 0x33}),
       Discard::kLinkMulticast,
       {}},
  };
}

// NOLINTNEXTLINE(readability-function-size): a table
std::vector<Case> header_cases() {
  return {
      {"Item09_Version", summed(with(echo_frame4(), kIp, {0x65})), DropReason::kIpv4Version, {}},
      {"Item09_Version_Ipv6", with(echo_frame6(), kIp, {0x40}), DropReason::kIpv6Version, {}},
      {"Item10_HeaderLengthBelow20",
       with(echo_frame4(), kIp, {0x44}),
       DropReason::kIpv4HeaderLength,
       {}},
      {"Item11_HeaderBeyondPacket",
       with(echo_frame4(), kIp, {0x4f}),
       DropReason::kIpv4HeaderBeyondPacket,
       {}},
      {"Item11_HeaderBeyondTotalLength",
       with(echo_frame4() + pattern(40, 2), kIp, {0x4f}),
       DropReason::kIpv4LengthBelowHeader,
       {}},
      {"Item12_TotalLengthBelowHeader",
       summed(with(echo_frame4(), kIp + 2, {0, 19})),
       DropReason::kIpv4LengthBelowHeader,
       {}},
      {"Item13_HeaderChecksum",
       with(echo_frame4(), kIp + 10, {0xde, 0xad}),
       DropReason::kIpv4Checksum,
       {}},
      {"Item14_SourceBroadcast",
       echo_from(Ipv4Address(0xffffffff)),
       DropReason::kIpv4SourceBroadcast,
       {}},
      {"Item14_SourceDirectedBroadcast",
       echo_from(Ipv4Address(192, 0, 2, 255)),
       Discard::kSourceBroadcast,
       {}},
      {"Item14_SourceMulticast",
       echo_from(Ipv4Address(224, 0, 0, 1)),
       DropReason::kIpv4SourceMulticast,
       {}},
      {"Item14_SourceUnspecified",
       echo_from(Ipv4Address()),
       DropReason::kIpv4SourceUnspecified,
       {}},
      {"Item14_SourceClassE",
       echo_from(Ipv4Address(240, 0, 0, 1)),
       DropReason::kIpv4SourceReserved,
       {}},
      {"Item14_SourceMulticast_Ipv6",
       with(echo_frame6(), kIp + 8, {0xff, 0x02}),
       DropReason::kIpv6SourceMulticast,
       {}},
      {"Item15_SourceLoopback",
       echo_from(Ipv4Address(127, 0, 0, 1)),
       DropReason::kIpv4SourceLoopback,
       {}},
      {"Item15_DestinationLoopback",
       echo_from(kPeer4, Ipv4Address(127, 0, 0, 1)),
       DropReason::kIpv4DestinationLoopback,
       {}},
      {"Item15_SourceLoopback_Ipv6",
       ipv6({.source = Ipv6Address(0, 1), .destination = kOurs6}, {}),
       DropReason::kIpv6SourceLoopback,
       {}},
      {"Item16_Land", echo_from(kOurs4), Discard::kSourceIsOurs, {}},
      {"Item16_Land_Ipv6",
       ipv6({.next_header = wire::kProtocolIcmpv6, .source = kOurs6, .destination = kOurs6},
            icmpv6({.type = Icmpv6Type::kEchoRequest}, {}, kOurs6)),
       Discard::kSourceIsOurs,
       {}},
      {"Item17_TtlZero", summed(with(echo_frame4(), kIp + 8, {0})), {}, kEchoed4},
      {"Item17_HopLimitZero_Ipv6", with(echo_frame6(), kIp + 7, {0}), {}, kEchoed6},
      {"Item18_OptionLengthZero", echo_with({7, 0, 4, 0}), DropReason::kIpv4OptionLength,
       kParameterProblem4},
      {"Item18_OptionLengthOne", echo_with({7, 1, 4, 0}), DropReason::kIpv4OptionLength,
       kParameterProblem4},
      {"Item19_OptionBeyondHeader", echo_with({7, 8, 4, 0}), DropReason::kIpv4OptionBeyondHeader,
       kParameterProblem4},
      {"Item20_LooseSourceRoute",
       echo_with({131, 7, 4, 192, 0, 2, 9, 0}),
       DropReason::kIpv4SourceRoute,
       {}},
      {"Item20_StrictSourceRoute",
       echo_with({137, 7, 4, 192, 0, 2, 9, 0}),
       DropReason::kIpv4SourceRoute,
       {}},
      {"Item21_RecordRoutePointerBelowMinimum", echo_with({7, 7, 3, 0, 0, 0, 0, 0}),
       DropReason::kIpv4OptionPointer, kParameterProblem4},
      {"Item21_RecordRoutePointerBeyondOption", echo_with({7, 7, 9, 0, 0, 0, 0, 0}),
       DropReason::kIpv4OptionPointer, kParameterProblem4},
      {"Item21_TimestampPointerBelowMinimum", echo_with({68, 8, 4, 0, 0, 0, 0, 0}),
       DropReason::kIpv4OptionPointer, kParameterProblem4},
      {"Item22_UnknownOption", echo_with({25, 4, 1, 2}), {}, kEchoed4},
      {"Item23_ReservedFlag", summed(with(echo_frame4(), kIp + 6, {0x80})), {}, kEchoed4},
      {"Item24_UnknownProtocol", ipv4(200, pattern(20, 1)), Discard::kProtocolUnknown,
       Answer{34, 3, 2}},
      {"Item24_UnknownNextHeader_Ipv6", ipv6(200, pattern(20, 1)), Discard::kProtocolUnknown,
       Answer{54, 4, 1}},
      {"Item25_IpInIp", ipv4(wire::kProtocolIpv4, behind(echo_frame4(), kIp)),
       Discard::kProtocolUnknown, Answer{34, 3, 2}},
      {"Item25_IpInIpInnerLongerThanOuter",
       ipv4(wire::kProtocolIpv4, with(behind(echo_frame4(), kIp), 2, {0xff, 0xff})),
       Discard::kProtocolUnknown, Answer{34, 3, 2}},
      {"Item25_IpInIp_Ipv6", ipv6(wire::kProtocolIpv4, behind(echo_frame4(), kIp)),
       Discard::kProtocolUnknown, Answer{54, 4, 1}},
  };
}

// A fragment of an echo request; sizes and offsets as its header has them.
ByteVector fragment4(std::uint16_t offset, bool more, std::size_t size) {
  return ipv4({.identification = 9,
               .more_fragments = more,
               .fragment_offset = offset,
               .protocol = wire::kProtocolIcmp,
               .source = kPeer4,
               .destination = kOurs4},
              pattern(size, 1));
}
ByteVector fragment6(std::uint16_t offset, bool more, std::size_t size) {
  ByteVector header(sizeof(wire::Ipv6FragmentHeader));
  wire::emit(wire::Ipv6Fragment{.next_header = wire::kProtocolIcmpv6,
                                .offset = offset,
                                .more = more,
                                .identification = 9},
             header);
  return ipv6(wire::kProtocolFragment, header + pattern(size, 1));
}

std::vector<Case> fragment_cases() {
  return {
      {"Item28_PingOfDeath",
       fragment4(65528, false, 1000),
       DropReason::kIpv4FragmentBeyondMaximum,
       {}},
      {"Item28_PingOfDeath_Ipv6", fragment6(65528, false, 1000),
       DropReason::kIpv6FragmentBeyondMaximum, Answer{54, 4, 0}},
      {"Item29_Unaligned", fragment4(0, true, 13), DropReason::kIpv4FragmentUnaligned, {}},
      {"Item29_Unaligned_Ipv6", fragment6(0, true, 13), DropReason::kIpv6FragmentUnaligned,
       Answer{54, 4, 0}},
      {"Item30_TinyFirstFragment_Ipv6", fragment6(0, true, 0), DropReason::kIpv6FragmentEmpty, {}},
      {"Item33_DontFragmentAlone",
       ipv4({.dont_fragment = true,
             .protocol = wire::kProtocolIcmp,
             .source = kPeer4,
             .destination = kOurs4},
            echo4()),
       {},
       kEchoed4},
      {"Item35_EmptyFragment", fragment4(8, true, 0), DropReason::kIpv4FragmentEmpty, {}},
      {"Item35_EmptyFragment_Ipv6", fragment6(8, false, 0), DropReason::kIpv6FragmentEmpty, {}},
  };
}

// The start of a datagram of ours to far away, as errors quote it.
ByteVector quoted4(std::uint8_t protocol, std::uint16_t fragment_offset = 0) {
  ByteVector packet(sizeof(wire::Ipv4Header));
  wire::emit(wire::Ipv4{.total_length = 1500,
                        .fragment_offset = fragment_offset,
                        .protocol = protocol,
                        .source = kOurs4,
                        .destination = kFar4},
             packet);
  return packet + udp({.source_port = 1000, .destination_port = 5}, {}, false, false);
}
ByteVector quoted6() {
  ByteVector packet(sizeof(wire::Ipv6Header));
  wire::emit(wire::Ipv6{.payload_length = 1460,
                        .next_header = wire::kProtocolUdp,
                        .source = kOurs6,
                        .destination = kOther6},
             packet);
  return packet + udp({.source_port = 1000, .destination_port = 5}, {}, true, false);
}
ByteVector too_big4(std::uint16_t mtu, const ByteVector& quote) {
  return ipv4(wire::kProtocolIcmp, icmp({.type = IcmpType::kUnreachable,
                                         .code = wire::kIcmpFragmentationNeeded,
                                         .next_hop_mtu = mtu},
                                        quote));
}
ByteVector too_big6(std::uint32_t mtu, const ByteVector& quote) {
  return ipv6(wire::kProtocolIcmpv6,
              icmpv6({.type = Icmpv6Type::kPacketTooBig, .mtu = mtu}, quote));
}
// An ICMP message whose type has no name here.
ByteVector icmp_of_type(unsigned type) {
  ByteVector message = with(icmp({}, pattern(12, 1)), 0, {type, 0, 0, 0});
  wire::view_as<wire::IcmpHeader>(wire::MutableBytes(message)).checksum =
      wire::be16(wire::checksum(message));
  return ipv4(wire::kProtocolIcmp, message);
}
// An ICMPv6 message behind an unknown option that asks to be reported.
ByteVector behind_unknown_option(const ByteVector& message) {
  return ipv6(wire::kProtocolDestinationOptions,
              wire::from_hex("3a 00 9e 04 00 00 00 00") + message);
}

std::vector<Case> icmp_cases() {
  const ByteVector udp_quote = quoted4(wire::kProtocolUdp);
  const ByteVector error6 = icmpv6({.type = Icmpv6Type::kUnreachable}, quoted6());
  return {
      {"Item37_MtuZero", too_big4(0, udp_quote), DropReason::kIcmpMtu, {}},
      {"Item37_MtuBelow68", too_big4(67, udp_quote), DropReason::kIcmpMtu, {}},
      {"Item37_MtuBelow1280_Ipv6", too_big6(1279, quoted6()), DropReason::kIcmpv6Mtu, {}},
      {"Item40_QuoteWithoutTransport",
       too_big4(1400, cut(udp_quote, 27)),
       DropReason::kIcmpQuoteShort,
       {}},
      {"Item40_QuoteWithoutHeader",
       too_big4(1400, cut(udp_quote, 19)),
       DropReason::kIcmpQuoteShort,
       {}},
      {"Item40_QuoteHeaderLength",
       too_big4(1400, with(udp_quote, 0, {0x44})),
       DropReason::kIcmpQuoteHeader,
       {}},
      {"Item40_QuoteHeaderBeyondMessage",
       too_big4(1400, with(udp_quote, 0, {0x4f})),
       DropReason::kIcmpQuoteShort,
       {}},
      {"Item40_QuoteOfLaterFragment",
       too_big4(1400, quoted4(wire::kProtocolUdp, 8)),
       DropReason::kIcmpQuoteFragment,
       {}},
      {"Item40_QuoteWithoutTransport_Ipv6",
       too_big6(1400, cut(quoted6(), 47)),
       DropReason::kIcmpv6QuoteShort,
       {}},
      {"Item40_QuoteVersion_Ipv6",
       too_big6(1400, with(quoted6(), 0, {0x40})),
       DropReason::kIcmpv6QuoteHeader,
       {}},
      {"Item41_ErrorAboutAnError_Ipv6",
       behind_unknown_option(error6),
       DropReason::kIpv6OptionUnknownReport,
       {}},
      {"Item41_ErrorAboutAnEcho_Ipv6", behind_unknown_option(echo6()),
       DropReason::kIpv6OptionUnknownReport, Answer{54, 4, 2}},
      {"Item41_ErrorAboutABroadcast",
       ipv4({.protocol = 200, .source = kPeer4, .destination = Ipv4Address(192, 0, 2, 255)},
            pattern(20, 1)),
       Discard::kProtocolUnknown,
       {}},
      {"Item41_ErrorAboutAMulticast_Ipv6",
       ipv6({.next_header = 200, .source = kPeer6, .destination = wire::kIpv6AllNodes}, {}),
       Discard::kProtocolUnknown,
       {}},
      {"Item41_ErrorAboutAnUnknownIcmpType", icmp_of_type(77), DropReason::kIcmpType, {}},
      {"Item42_SourceQuench", icmp_of_type(4), DropReason::kIcmpSourceQuench, {}},
      {"Item42_Redirect", icmp_of_type(5), DropReason::kIcmpQuoteShort, {}},
      {"Item42_RedirectOfUnknownCode",
       ipv4(wire::kProtocolIcmp, icmp({.type = IcmpType::kRedirect, .code = 4}, udp_quote)),
       DropReason::kIcmpRedirectCode,
       {}},
      {"Item42_RedirectToNowhere",
       ipv4(wire::kProtocolIcmp, icmp({.type = IcmpType::kRedirect}, udp_quote)),
       Discard::kIcmpRedirect,
       {}},
      {"Item42_Timestamp", icmp_of_type(13), DropReason::kIcmpTimestamp, {}},
      {"Item42_AddressMask", icmp_of_type(17), DropReason::kIcmpAddressMask, {}},
      {"Item43_EchoChecksum", with(echo_frame4(), 36, {0xde, 0xad}), DropReason::kIcmpChecksum, {}},
      {"Item43_EchoChecksum_Ipv6",
       with(echo_frame6(), 56, {0xde, 0xad}),
       DropReason::kIcmpv6Checksum,
       {}},
      {"Item43_EchoToBroadcast",
       echo_from(kPeer4, Ipv4Address(192, 0, 2, 255)),
       Discard::kIcmpEchoToGroup,
       {}},
      {"Item43_EchoToMulticast",
       echo_from(kPeer4, Ipv4Address(224, 0, 0, 1)),
       Discard::kIcmpEchoToGroup,
       {}},
      {"Item43_EchoToMulticast_Ipv6",
       ipv6({.next_header = wire::kProtocolIcmpv6,
             .source = kPeer6,
             .destination = wire::kIpv6AllNodes},
            icmpv6({.type = Icmpv6Type::kEchoRequest}, {}, kPeer6, wire::kIpv6AllNodes)),
       Discard::kIcmpEchoToGroup,
       {}},
  };
}

// A datagram to the open port, 1000, with its length field and port to be spoilt.
ByteVector datagram(bool six, std::uint16_t port = 1000) {
  return udp({.source_port = 1, .destination_port = port}, pattern(5, 1), six);
}
ByteVector datagram4(std::initializer_list<unsigned> length) {
  return ipv4(wire::kProtocolUdp, with(datagram(false), 4, length));
}
ByteVector datagram6(std::initializer_list<unsigned> length) {
  return ipv6(wire::kProtocolUdp, with(datagram(true), 4, length));
}

std::vector<Case> udp_cases() {
  const ByteVector spoilt4 = with(datagram(false), 6, {0xde, 0xad});
  const ByteVector spoilt6 = with(datagram(true), 6, {0xde, 0xad});
  const ByteVector no_sum = udp({.source_port = 1, .destination_port = 1000}, {}, true, false);
  return {
      {"Item44_LengthBelow8", datagram4({0, 7}), DropReason::kUdpLengthBelowHeader, {}},
      {"Item44_LengthZero", datagram4({0, 0}), DropReason::kUdpLengthBelowHeader, {}},
      {"Item44_LengthBelow8_Ipv6", datagram6({0, 7}), DropReason::kUdpLengthBelowHeader, {}},
      {"Item44_HeaderTruncated",
       ipv4(wire::kProtocolUdp, cut(datagram(false), 7)),
       DropReason::kUdpShort,
       {}},
      {"Item45_LengthBeyondPacket", datagram4({0, 14}), DropReason::kUdpLengthBeyondPacket, {}},
      {"Item45_LengthBeyondPacket_Ipv6",
       datagram6({0xff, 0xff}),
       DropReason::kUdpLengthBeyondPacket,
       {}},
      {"Item46_Checksum", ipv4(wire::kProtocolUdp, spoilt4), DropReason::kUdpChecksum, {}},
      {"Item46_Checksum_Ipv6", ipv6(wire::kProtocolUdp, spoilt6), DropReason::kUdpChecksum, {}},
      {"Item46_NoChecksum_Ipv6",
       ipv6(wire::kProtocolUdp, no_sum),
       DropReason::kUdpChecksumMissing,
       {}},
      {"Item47_DestinationPortZero",
       ipv4(wire::kProtocolUdp, datagram(false, 0)),
       DropReason::kUdpDestinationPortZero,
       {}},
      {"Item47_DestinationPortZero_Ipv6",
       ipv6(wire::kProtocolUdp, datagram(true, 0)),
       DropReason::kUdpDestinationPortZero,
       {}},
      {"Item48_ClosedPort", ipv4(wire::kProtocolUdp, datagram(false, 1001)),
       Discard::kUdpPortClosed, Answer{34, 3, 3}},
      {"Item48_ClosedPort_Ipv6", ipv6(wire::kProtocolUdp, datagram(true, 1001)),
       Discard::kUdpPortClosed, Answer{54, 1, 4}},
      {"Item48_ClosedPortOfABroadcast",
       ipv4({.protocol = wire::kProtocolUdp,
             .source = kPeer4,
             .destination = Ipv4Address(192, 0, 2, 255)},
            udp({.source_port = 1, .destination_port = 1001}, {}, false, false)),
       Discard::kUdpPortClosed,
       {}},
  };
}

class Catalogue : public ::testing::TestWithParam<Case>, public UdpHandler {
 protected:
  void SetUp() override {
    ASSERT_TRUE(host->stack.udp().bind({.address = {}, .port = 1000}, *this));
  }
  void TearDown() override { expect_healthy(*host); }
  void receive(packet::PacketPtr /*payload*/, const UdpPath& /*path*/, Instant /*now*/) override {
    ++received;
  }
  void failed(const PathError& /*error*/, Instant /*now*/) override { ++failures; }

  std::uint64_t count_of(const Counter& counter) const {
    if (const auto* malformed = std::get_if<DropReason>(&counter)) return host->drops(*malformed);
    if (const auto* discarded = std::get_if<Discard>(&counter)) return host->drops(*discarded);
    return 0;
  }

  std::unique_ptr<TestHost> host = TestHost::acquainted();
  int received = 0;
  int failures = 0;
};

TEST_P(Catalogue, RcvFrame) {
  const Case& each = GetParam();
  const std::uint64_t expected = each.counter.index() == 0 ? 0 : 1;
  host->receive(each.frame);
  EXPECT_EQ(count_of(each.counter), expected);
  EXPECT_EQ(total_drops(host->stack.drops()), expected) << "counted as something else too";
  EXPECT_EQ(host->sent.size(), each.answer ? 1U : 0U);
  if (each.answer && !host->sent.empty()) {
    const ByteVector frame = host->next_sent();
    EXPECT_EQ(std::to_integer<unsigned>(frame.at(each.answer->at)), each.answer->type);
    EXPECT_EQ(std::to_integer<unsigned>(frame.at(each.answer->at + 1)), each.answer->code);
  }
  EXPECT_EQ(received, 0);
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(host->stack.arp().neighbours().size(), 1U);
  EXPECT_EQ(host->stack.ndp().neighbours().size(), 1U);
  EXPECT_EQ(host->stack.reassembler().datagrams(), 0U);
  EXPECT_EQ(host->pool->in_use(), 0U);
}

const auto kNameOf = [](const auto& param_info) { return param_info.param.name; };
INSTANTIATE_TEST_SUITE_P(Link, Catalogue, ::testing::ValuesIn(link_cases()), kNameOf);
INSTANTIATE_TEST_SUITE_P(Header, Catalogue, ::testing::ValuesIn(header_cases()), kNameOf);
INSTANTIATE_TEST_SUITE_P(Fragment, Catalogue, ::testing::ValuesIn(fragment_cases()), kNameOf);
INSTANTIATE_TEST_SUITE_P(Icmp, Catalogue, ::testing::ValuesIn(icmp_cases()), kNameOf);
INSTANTIATE_TEST_SUITE_P(Udp, Catalogue, ::testing::ValuesIn(udp_cases()), kNameOf);

}  // namespace
}  // namespace tideline::ip
