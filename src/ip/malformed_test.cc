// SPDX-License-Identifier: Apache-2.0
// Hostile input that only a host's state can tell: ARP and NDP that lie, addresses that are not
// ours, errors that nobody may send or believe, ports that are closed. After each the host still
// answers an honest echo, and holds no packet.
#include <gtest/gtest.h>

#include "ip/test_host.h"

namespace tideline::ip {
namespace {

using std::chrono::seconds;
using wire::ArpOperation;
using wire::DropReason;

class Hostile : public ::testing::Test {
 protected:
  void TearDown() override { expect_healthy(*host); }
  // Nothing is answered, and one counter says why.
  template <typename Reason>
  void expect_dropped(const ByteVector& frame, Reason reason) {
    host->receive(frame);
    EXPECT_EQ(host->drops(reason), 1U) << name_of(reason);
    EXPECT_TRUE(host->sent.empty());
  }
  wire::Arp arp_reply(Ipv4Address address, const MacAddress& mac) const {
    return {.operation = ArpOperation::kReply,
            .sender_mac = mac,
            .sender_ip = address,
            .target_mac = kOurMac,
            .target_ip = kOurs4};
  }

  std::unique_ptr<TestHost> host = TestHost::acquainted();
};

TEST_F(Hostile, RcvArpReply_NobodyAsked_CreatesAndChangesNothing) {
  expect_dropped(arp(arp_reply(kOther4, kOtherMac)), Discard::kArpUnsolicited);
  EXPECT_EQ(host->stack.arp().neighbours().size(), 1U);
  host->receive(arp(arp_reply(kPeer4, kOtherMac)));
  EXPECT_EQ(host->stack.arp().neighbours().mac(kPeer4), kPeerMac);
}

TEST_F(Hostile, RcvArpAnnouncement_UnknownAddress_CreatesNothing) {
  expect_dropped(arp({.sender_mac = kOtherMac, .sender_ip = kOther4, .target_ip = kOther4},
                     wire::kMacBroadcast),
                 Discard::kArpNotForUs);
  EXPECT_EQ(host->drops(Discard::kArpUnsolicited), 1U);
  EXPECT_EQ(host->stack.arp().neighbours().size(), 1U);
}

TEST_F(Hostile, RcvArpAnnouncement_KnownAddress_MovesIt) {
  host->receive(arp({.sender_mac = kOtherMac, .sender_ip = kPeer4, .target_ip = kPeer4},
                    wire::kMacBroadcast));
  EXPECT_EQ(host->stack.arp().neighbours().mac(kPeer4), kOtherMac);
  EXPECT_EQ(host->stack.arp().neighbours().state(kPeer4, host->now), NeighbourState::kStale);
}

TEST_F(Hostile, RcvArp_FromOurAddress_IsAConflictThatWeDefendOnce) {
  const ByteVector frame = arp(arp_reply(kOurs4, kOtherMac));
  for (int i = 0; i < 5; ++i) host->receive(frame);
  EXPECT_EQ(host->drops(Discard::kAddressConflict), 5U);
  ASSERT_EQ(host->conflicts.size(), 5U);
  EXPECT_EQ(host->conflicts[0], std::pair(Ipv6Address::mapped(kOurs4), kOtherMac));
  EXPECT_EQ(host->sent.size(), 1U);  // RFC 5227 §2.4: at most one announcement in 10 s
  EXPECT_EQ(cut(host->next_sent(), 6), cut(arp({}, wire::kMacBroadcast), 6));
  EXPECT_EQ(host->stack.arp().neighbours().mac(kOurs4), std::nullopt);
}

TEST_F(Hostile, RcvArpProbe_ForOurAddress_IsAnsweredAndNotCached) {
  host->receive(arp({.sender_mac = kOtherMac, .target_ip = kOurs4}, wire::kMacBroadcast));
  EXPECT_EQ(host->sent.size(), 1U);
  EXPECT_EQ(host->stack.arp().neighbours().size(), 1U);
}

TEST_F(Hostile, RcvArp_SenderIsAMulticastOrBroadcast_IsNotCached) {
  expect_dropped(
      arp({.sender_mac = wire::kMacBroadcast, .sender_ip = kOther4, .target_ip = kOurs4}),
      DropReason::kArpSenderMulticast);
  expect_dropped(
      arp({.sender_mac = kOtherMac, .sender_ip = Ipv4Address(192, 0, 2, 255), .target_ip = kOurs4}),
      Discard::kArpSenderNotCacheable);
  expect_dropped(arp({.sender_mac = kOtherMac, .sender_ip = kFar4, .target_ip = kOurs4}),
                 Discard::kArpSenderOffLink);
  EXPECT_EQ(host->stack.arp().neighbours().size(), 1U);
}

TEST_F(Hostile, RcvNeighbourAdvertisement_Unsolicited_CreatesNothing) {
  expect_dropped(ndp(
                     wire::NeighbourAdvertisement{
                         .override_cache = true, .target = kOther6, .target_mac = kOtherMac},
                     kOther6, kOurs6),
                 Discard::kNdpUnsolicited);
  EXPECT_EQ(host->stack.ndp().neighbours().size(), 1U);
}

TEST_F(Hostile, RcvNeighbourAdvertisement_OfOurAddress_IsAConflict) {
  expect_dropped(ndp(
                     wire::NeighbourAdvertisement{
                         .override_cache = true, .target = kOurs6, .target_mac = kOtherMac},
                     kOther6, wire::kIpv6AllNodes),
                 Discard::kAddressConflict);
  ASSERT_EQ(host->conflicts.size(), 1U);
  EXPECT_EQ(host->conflicts[0], std::pair(kOurs6, kOtherMac));
}

TEST_F(Hostile, RcvNeighbourSolicitation_FromOffTheLink_IsDropped) {
  const Ipv6Address far(0x20010db800990000, 1);
  expect_dropped(ndp(wire::NeighbourSolicitation{.target = kOurs6, .source_mac = kOtherMac}, far,
                     kOurs6.solicited_node()),
                 Discard::kNdpSourceOffLink);
}

TEST_F(Hostile, RcvRedirectAndRouterAdvertisement_AreNotObeyed) {
  const Ipv6Address router(0xfe80000000000000, 9);
  expect_dropped(ndp(wire::Redirect{.target = router, .destination = kPeer6}, router, kOurs6),
                 Discard::kNdpRedirect);
  expect_dropped(
      ndp(wire::RouterAdvertisement{.router_lifetime = 1800}, router, wire::kIpv6AllNodes),
      Discard::kNdpRouterMessage);
}

TEST_F(Hostile, RcvUnicast_InsideALinkBroadcast_IsDropped) {
  ByteVector frame = ipv4(wire::kProtocolIcmp, icmp({.type = wire::IcmpType::kEchoRequest}, {}));
  expect_dropped(with(frame, 0, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), Discard::kLinkMulticast);
}

TEST_F(Hostile, RcvLand_SourceIsOurs_IsDropped) {
  expect_dropped(ipv4({.protocol = wire::kProtocolUdp, .source = kOurs4, .destination = kOurs4},
                      udp({.source_port = 1, .destination_port = 9}, {}, false)),
                 Discard::kSourceIsOurs);
  host->receive(ipv6({.next_header = wire::kProtocolUdp, .source = kOurs6, .destination = kOurs6},
                     udp({.source_port = 1, .destination_port = 9}, {}, true)));
  EXPECT_EQ(host->drops(Discard::kSourceIsOurs), 2U);
}

TEST_F(Hostile, RcvPacket_SourceOrDestinationNotAHosts_IsDropped) {
  expect_dropped(ipv4({.source = Ipv4Address(192, 0, 2, 255), .destination = kOurs4}, {}),
                 Discard::kSourceBroadcast);
  expect_dropped(ipv4({.source = kPeer4, .destination = kOther4}, {}), Discard::kNotOurs);
  host->receive(ipv4({.source = kPeer4, .destination = Ipv4Address(239, 1, 1, 1)}, {}));
  host->receive(
      ipv6({.next_header = wire::kProtocolNoNext, .source = kPeer6, .destination = kOther6}, {}));
  EXPECT_EQ(host->drops(Discard::kNotOurs), 3U);
  EXPECT_TRUE(host->sent.empty());
}

TEST_F(Hostile, RcvTtlZero_ForUs_IsAccepted) {
  host->receive(
      ipv4({.ttl = 0, .protocol = wire::kProtocolIcmp, .source = kPeer4, .destination = kOurs4},
           icmp({.type = wire::IcmpType::kEchoRequest}, {})));
  EXPECT_EQ(host->sent.size(), 1U);
}

TEST_F(Hostile, RcvUnknownProtocol_IsReportedWithinTheRateLimit) {
  for (int i = 0; i < 100; ++i) host->receive(ipv4(200, pattern(20, 1)));
  EXPECT_EQ(host->drops(Discard::kProtocolUnknown), 100U);
  EXPECT_EQ(host->sent.size(), 10U);
  EXPECT_EQ(host->drops(Discard::kIcmpRateLimited), 90U);
  const ByteVector frame = host->next_sent();
  EXPECT_EQ(cut(behind(frame, 34), 2), wire::from_hex("03 02"));
  EXPECT_EQ(behind(frame, 42), behind(ipv4(200, pattern(20, 1)), 14));
  host->sent.clear();
  host->advance(seconds(1));
  host->receive(ipv4(wire::kProtocolIpv4, pattern(40, 1)));  // IP in IP: never looked into
  EXPECT_EQ(host->sent.size(), 1U);
}

TEST_F(Hostile, RcvUnknownNextHeader_PointsAtIt) {
  host->receive(ipv6(200, pattern(20, 1)));
  EXPECT_EQ(cut(behind(host->next_sent(), 54), 2), wire::from_hex("04 01"));
  // Behind 8 bytes of destination options.
  host->receive(ipv6(wire::kProtocolDestinationOptions,
                     wire::from_hex("c8 00 01 04 00 00 00 00") + pattern(20, 1)));
  const ByteVector frame = host->next_sent();
  EXPECT_EQ(cut(behind(frame, 58), 4), wire::from_hex("00 00 00 28"));
}

TEST_F(Hostile, RcvErrorCondition_AboutAnErrorOrAFragmentOrAGroup_IsNotReported) {
  // A fragment other than the first, an ICMP message of an unknown type, a broadcast.
  host->receive(
      ipv4({.protocol = 200, .source = kPeer4, .destination = Ipv4Address(192, 0, 2, 255)},
           pattern(20, 1)));
  EXPECT_EQ(host->drops(Discard::kProtocolUnknown), 1U);
  host->receive(ipv4({.protocol = wire::kProtocolUdp,
                      .source = kPeer4,
                      .destination = Ipv4Address(192, 0, 2, 255)},
                     udp({.source_port = 1, .destination_port = 9}, {}, false, false)));
  EXPECT_EQ(host->drops(Discard::kUdpPortClosed), 1U);
  host->receive(
      ipv6({.next_header = 200, .source = kPeer6, .destination = wire::kIpv6AllNodes}, {}));
  EXPECT_TRUE(host->sent.empty());
}

TEST_F(Hostile, RcvEcho_WithBadChecksumOrToAGroup_IsNotAnswered) {
  const ByteVector request = icmp({.type = wire::IcmpType::kEchoRequest}, pattern(8, 1));
  expect_dropped(ipv4(wire::kProtocolIcmp, with(request, 2, {0xde, 0xad})),
                 DropReason::kIcmpChecksum);
  expect_dropped(ipv4({.protocol = wire::kProtocolIcmp,
                       .source = kPeer4,
                       .destination = Ipv4Address(192, 0, 2, 255)},
                      request),
                 Discard::kIcmpEchoToGroup);
  expect_dropped(ipv6(wire::kProtocolIcmpv6,
                      with(icmpv6({.type = wire::Icmpv6Type::kEchoRequest}, {}), 2, {0xde, 0xad})),
                 DropReason::kIcmpv6Checksum);
}

TEST_F(Hostile, RcvEchoReply_NobodyAsked_IsDropped) {
  expect_dropped(ipv4(wire::kProtocolIcmp, icmp({.type = wire::IcmpType::kEchoReply}, {})),
                 Discard::kIcmpEchoUnknown);
}

// What a router says of a packet of ours: `mtu` fits, from `source_port` on.
class PathMtuErrors : public Hostile, public UdpHandler {
 protected:
  void SetUp() override {
    ASSERT_TRUE(host->stack.udp().bind({.address = {}, .port = 1000}, *this));
  }
  void TearDown() override {
    host->stack.udp().unbind({.address = {}, .port = 1000});
    Hostile::TearDown();
  }
  void receive(packet::PacketPtr payload, const UdpPath& /*path*/, Instant /*now*/) override {
    ++received;
    last = contents(*payload);
  }
  void failed(const PathError& error, Instant /*now*/) override { failures.push_back(error.kind); }

  ByteVector too_big4(std::uint16_t mtu, std::uint16_t source_port = 1000,
                      Ipv4Address source = kOurs4) const {
    ByteVector quoted(20);
    wire::emit(wire::Ipv4{.total_length = 1500,
                          .protocol = wire::kProtocolUdp,
                          .source = source,
                          .destination = kFar4},
               quoted);
    return ipv4(
        wire::kProtocolIcmp,
        icmp({.type = wire::IcmpType::kUnreachable,
              .code = wire::kIcmpFragmentationNeeded,
              .next_hop_mtu = mtu},
             quoted + udp({.source_port = source_port, .destination_port = 5}, {}, false, false)));
  }
  // Of any type, about a datagram from port 1000.
  static ByteVector error6(unsigned type, std::uint32_t mtu = 0) {
    ByteVector quoted(sizeof(wire::Ipv6Header));
    wire::emit(wire::Ipv6{.payload_length = 1460,
                          .next_header = wire::kProtocolUdp,
                          .source = kOurs6,
                          .destination = kOther6},
               quoted);
    ByteVector message(sizeof(wire::Icmpv6Header));
    wire::emit(wire::Icmpv6{.type = wire::Icmpv6Type::kPacketTooBig, .mtu = mtu}, message);
    message = with(std::move(message), 0, {type}) + quoted +
              udp({.source_port = 1000, .destination_port = 5}, {}, true, false);
    fill_icmpv6_checksum(message, kPeer6, kOurs6);
    return ipv6(wire::kProtocolIcmpv6, message);
  }
  std::uint16_t mtu4() const {
    return host->stack.path_mtu(Ipv6Address::mapped(kFar4), host->now).mtu;
  }

  int received = 0;
  ByteVector last;
  std::vector<PathErrorKind> failures;
};

TEST_F(PathMtuErrors, RcvTooBig_AboutAPacketOfOurs_LowersThePathsMtuForTenMinutes) {
  host->receive(too_big4(1400));
  EXPECT_EQ(mtu4(), 1400);
  EXPECT_EQ(failures, std::vector{PathErrorKind::kPacketTooBig});
  host->advance(std::chrono::minutes(10));
  EXPECT_EQ(mtu4(), 1500);
}

TEST_F(PathMtuErrors, RcvTooBig_BelowTheFloor_StopsAtTheFloor) {
  host->receive(too_big4(100));
  EXPECT_EQ(mtu4(), 552);
  EXPECT_TRUE(host->stack.path_mtu(Ipv6Address::mapped(kFar4), host->now).below_floor);
}

TEST_F(PathMtuErrors, RcvTooBig_Implausible_IsIgnored) {
  expect_dropped(too_big4(0), DropReason::kIcmpMtu);
  expect_dropped(too_big4(1400, 1001), Discard::kIcmpQuoteUnknown);
  expect_dropped(too_big4(1400, 1000, kOther4), Discard::kIcmpQuoteNotOurs);
  EXPECT_EQ(mtu4(), 1500);
  EXPECT_TRUE(failures.empty());
}

// RFC 4443 §3.2, §2.4 (d).
TEST_F(PathMtuErrors, RcvTooBig_NoNews_ChangesNothingAndIsTold) {
  expect_dropped(too_big4(1500), Discard::kPmtuImplausible);
  EXPECT_EQ(mtu4(), 1500);
  host->receive(error6(static_cast<unsigned>(wire::Icmpv6Type::kPacketTooBig), 1500));
  EXPECT_EQ(host->drops(Discard::kPmtuImplausible), 2U);
  EXPECT_EQ(host->stack.path_mtu(kOther6, host->now).mtu, 1500);
  EXPECT_EQ(failures, (std::vector{PathErrorKind::kPacketTooBig, PathErrorKind::kPacketTooBig}));
}

// RFC 4443 §2.4 (a), (b).
TEST_F(PathMtuErrors, RcvError_OfUnknownType_IsTold) {
  for (const unsigned type : {0U, 5U, 100U, 127U}) host->receive(error6(type));
  EXPECT_EQ(failures, std::vector(4, PathErrorKind::kUnknown));
  EXPECT_EQ(total_drops(host->stack.drops()), 0U);
  expect_dropped(error6(200), DropReason::kIcmpv6Type);
}

TEST_F(PathMtuErrors, SndDatagram_BeyondTheLoweredMtu_IsFragmented) {
  host->receive(too_big4(600));
  const UdpPath path{.source = {.address = Ipv6Address::mapped(kOurs4), .port = 1000},
                     .destination = {.address = Ipv6Address::mapped(kFar4), .port = 5}};
  ASSERT_TRUE(host->stack.udp().send(host->packet_of(pattern(1000, 1)), path, host->now));
  ASSERT_EQ(host->sent.size(), 2U);
  EXPECT_EQ(host->sent[0].size(), 14U + 20 + 576);
  EXPECT_EQ(std::to_integer<int>(host->sent[0][20]) & 0x60, 0x20);  // MF, no DF
}

TEST_F(PathMtuErrors, RcvError_WithAMalformedQuote_IsDropped) {
  const ByteVector good = too_big4(1400);
  ByteVector message = behind(good, 34);
  message.resize(8 + 20 + 4);
  wire::view_as<wire::be16>(wire::MutableBytes(message).subspan(2)) = wire::be16(0);
  wire::view_as<wire::be16>(wire::MutableBytes(message).subspan(2)) =
      wire::be16(wire::checksum(message));
  expect_dropped(ipv4(wire::kProtocolIcmp, message), DropReason::kIcmpQuoteShort);
}

TEST_F(PathMtuErrors, RcvUdp_ChecksumRules) {
  const wire::Udp header{.source_port = 1, .destination_port = 1000};
  host->receive(ipv4(wire::kProtocolUdp, udp(header, pattern(5, 1), false)));
  host->receive(ipv6(wire::kProtocolUdp, udp(header, pattern(5, 1), true)));
  host->receive(ipv4(wire::kProtocolUdp, udp(header, pattern(5, 1), false, false)));
  EXPECT_EQ(received, 3);
  expect_dropped(ipv6(wire::kProtocolUdp, udp(header, pattern(5, 1), true, false)),
                 DropReason::kUdpChecksumMissing);
  expect_dropped(ipv4(wire::kProtocolUdp, with(udp(header, pattern(5, 1), false), 6, {0xde, 0xad})),
                 DropReason::kUdpChecksum);
  EXPECT_EQ(received, 3);
}

// Item 45: what follows the UDP length is padding. Item 47: nobody can answer to source port 0.
TEST_F(PathMtuErrors, Item45_RcvUdp_LengthBelowThePackets_IsTheDatagrams) {
  for (const bool six : {false, true}) {
    const ByteVector message =
        udp({.source_port = 1, .destination_port = 1000}, pattern(5, 1), six) + pattern(7, 2);
    host->receive(six ? ipv6(wire::kProtocolUdp, message) : ipv4(wire::kProtocolUdp, message));
    EXPECT_EQ(last, pattern(5, 1));
  }
  EXPECT_EQ(received, 2);
}

TEST_F(PathMtuErrors, Item47_RcvUdp_SourcePortZero_IsDelivered) {
  for (const bool six : {false, true}) {
    const ByteVector message = udp({.destination_port = 1000}, pattern(5, 1), six);
    host->receive(six ? ipv6(wire::kProtocolUdp, message) : ipv4(wire::kProtocolUdp, message));
  }
  EXPECT_EQ(received, 2);
  EXPECT_EQ(total_drops(host->stack.drops()), 0U);
}

TEST_F(PathMtuErrors, RcvUdp_ToAClosedPort_IsReportedWithinTheRateLimit) {
  for (int i = 0; i < 50; ++i) {
    host->receive(ipv6(wire::kProtocolUdp,
                       udp({.source_port = 1, .destination_port = 1001}, pattern(5, 1), true)));
  }
  EXPECT_EQ(host->drops(Discard::kUdpPortClosed), 50U);
  EXPECT_EQ(host->sent.size(), 10U);
  EXPECT_EQ(cut(behind(host->next_sent(), 54), 2), wire::from_hex("01 04"));
}

TEST_F(PathMtuErrors, RcvUdp_TheMostSpecificListenerGetsIt) {
  EXPECT_FALSE(host->stack.udp().bind({.address = {}, .port = 1000}, *this));
  EXPECT_FALSE(host->stack.udp().bind({.address = {}, .port = 0}, *this));
}

TEST(Duplicates, AddAddress_NobodyAnswers_ItIsReady) {
  TestHost host({.mac = kOurMac, .group_reports = false});
  ASSERT_TRUE(host.stack.add_address(wire::Ipv6Prefix{kOurs6, 64}, host.now));
  EXPECT_TRUE(host.ready.empty());
  host.advance(seconds(2));
  ASSERT_EQ(host.sent.size(), 1U);
  const ByteVector probe = host.next_sent();
  EXPECT_EQ(cut(behind(probe, 22), 16), ByteVector(16));  // from ::
  EXPECT_EQ(host.ready, std::vector{kOurs6});
}

TEST(Duplicates, AddAddress_AnotherHasOrTestsIt_ItIsRemoved) {
  for (const bool tests : {false, true}) {
    TestHost host({.mac = kOurMac, .group_reports = false});
    ASSERT_TRUE(host.stack.add_address(wire::Ipv6Prefix{kOurs6, 64}, host.now));
    host.receive(tests ? ndp(wire::NeighbourSolicitation{.target = kOurs6}, Ipv6Address(),
                             kOurs6.solicited_node())
                       : ndp(
                             wire::NeighbourAdvertisement{
                                 .override_cache = true, .target = kOurs6, .target_mac = kOtherMac},
                             kOurs6, wire::kIpv6AllNodes));
    EXPECT_EQ(host.conflicts.size(), 1U);
    host.advance(seconds(5));
    EXPECT_TRUE(host.ready.empty());
    EXPECT_FALSE(host.stack.addresses().is_ours(kOurs6));
  }
}

}  // namespace
}  // namespace tideline::ip
