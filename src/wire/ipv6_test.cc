// SPDX-License-Identifier: Apache-2.0
// The IPv6 header and the walk over extension headers.
#include "wire/ipv6.h"

#include <gtest/gtest.h>

#include "wire/ipv6_extensions.h"
#include "wire/protocol.h"
#include "wire/test_bytes.h"
#include "wire/test_packets.h"

namespace tideline::wire {
namespace {

const ByteVector kUdp = from_hex(packets::kIpv6Udp.hex);

DropReason reason_of(const ByteVector& packet) { return parse_ipv6(packet).error(); }

// A packet whose first extension header is `next`, then `body`.
ByteVector packet_with(std::uint8_t next, std::string_view body_hex) {
  const ByteVector body = from_hex(body_hex);
  const Ipv6 ipv6{.payload_length = static_cast<std::uint16_t>(body.size()),
                  .next_header = next,
                  .source = Ipv6Address(0x20010db800000000, 1),
                  .destination = Ipv6Address(0x20010db800000000, 2)};
  ByteVector header(40);
  emit(ipv6, header);
  return header + body;
}

std::expected<Ipv6Extensions, Refusal> walk(const ByteVector& packet) {
  return parse_ipv6_extensions(packet, packet.size());
}

Refusal refusal_of(std::uint8_t next, std::string_view body_hex) {
  return walk(packet_with(next, body_hex)).error();
}

constexpr std::string_view kEightBytes = "0102030405060708";

TEST(Ipv6, ReadsAndWritesAHeader) {
  const ByteVector packet = with(kUdp, 0, {0x6a, 0xbc, 0xde, 0xf1});
  const auto ipv6 = parse_ipv6(packet).value();
  EXPECT_EQ(ipv6.traffic_class, 0xab);
  EXPECT_EQ(ipv6.flow_label, 0xcdef1U);
  EXPECT_EQ(ipv6.payload_length, 13);
  EXPECT_EQ(ipv6.next_header, kProtocolUdp);
  EXPECT_EQ(ipv6.hop_limit, 64);
  EXPECT_EQ(ipv6.source.to_text(), "2001:db8::1");
  ByteVector written(40);
  EXPECT_EQ(emit(ipv6, written), 40U);
  EXPECT_EQ(written, cut(packet, 40));
}

TEST(Ipv6, TruncatedAnywhereIsDropped) {
  for (std::size_t size = 0; size < kUdp.size(); ++size) {
    EXPECT_EQ(reason_of(cut(kUdp, size)),
              size < 40 ? DropReason::kIpv6Short : DropReason::kIpv6LengthBeyondFrame);
  }
  EXPECT_EQ(check_ipv6(Bytes(kUdp).first(39), kUdp.size()).error(), DropReason::kHeadersScattered);
}

TEST(Ipv6, VersionOtherThan6IsDropped) {
  EXPECT_EQ(reason_of(with(kUdp, 0, {0x45})), DropReason::kIpv6Version);
}

TEST(Ipv6, EthernetPaddingIsNotPayload) {
  EXPECT_EQ(parse_ipv6(kUdp + ByteVector(7))->payload_length, 13);
}

TEST(Ipv6, AddressesThatNoWireCarriesAreDropped) {
  EXPECT_EQ(reason_of(with(kUdp, 8, {0xff})), DropReason::kIpv6SourceMulticast);
  const auto loopback = [](std::size_t at) {
    ByteVector packet = kUdp;
    std::fill_n(packet.begin() + static_cast<std::ptrdiff_t>(at), 15, std::byte{0});
    return with(std::move(packet), at + 15, {1});
  };
  EXPECT_EQ(reason_of(loopback(8)), DropReason::kIpv6SourceLoopback);
  EXPECT_EQ(reason_of(loopback(24)), DropReason::kIpv6DestinationLoopback);
  EXPECT_EQ(reason_of(with(kUdp, 24, {0xff, 0x01})), DropReason::kIpv6DestinationScope);
  EXPECT_EQ(reason_of(with(kUdp, 24, {0xff, 0x00})), DropReason::kIpv6DestinationScope);
  EXPECT_TRUE(parse_ipv6(with(kUdp, 24, {0xff, 0x02})).has_value());
}

TEST(Ipv6Extensions, NoneAtAll) {
  const auto found = walk(kUdp).value();
  EXPECT_EQ(found.protocol, kProtocolUdp);
  EXPECT_EQ(found.upper, 40);
  EXPECT_EQ(found.fragment, 0);
}

TEST(Ipv6Extensions, WholeChainIsWalked) {
  const ByteVector packet = from_hex(packets::kIpv6FullChain.hex);
  const auto found = walk(packet).value();
  EXPECT_EQ(found.protocol, kProtocolTcp);
  // Hop-by-hop 8, destination options 16, routing 24, an atomic fragment 8, destination options 8.
  EXPECT_EQ(found.upper, 40 + 8 + 16 + 24 + 8 + 8);
  EXPECT_EQ(found.fragment, 40 + 8 + 16 + 24);
  EXPECT_EQ(found.fragment_next_at, 40 + 8 + 16);
}

TEST(Ipv6Extensions, RouterAlertIsReported) {
  const auto found = walk(from_hex(packets::kIpv6HopByHopRouterAlert.hex)).value();
  EXPECT_EQ(found.router_alert, 0);
  EXPECT_EQ(found.upper, 48);
  ByteVector written(8);
  EXPECT_EQ(emit_router_alert(kProtocolIcmpv6, 5, written), 8U);
  EXPECT_EQ(written, from_hex("3a00 0502 0005 0100"));
}

TEST(Ipv6Extensions, NoNextHeaderEndsTheWalk) {
  const auto found = walk(from_hex(packets::kIpv6NoNextHeader.hex)).value();
  EXPECT_EQ(found.protocol, kProtocolNoNext);
  EXPECT_EQ(found.upper, 48);
}

TEST(Ipv6Extensions, TruncatedIsDropped) {
  const ByteVector packet = from_hex(packets::kIpv6FullChain.hex);
  for (std::size_t size = 40; size < 104; ++size) {
    const auto shorter = parse_ipv6_extensions(cut(packet, size), size);
    // Where a header ends exactly, the next is missing.
    EXPECT_EQ(shorter.error().reason, DropReason::kIpv6ExtensionTruncated) << size;
    const auto scattered = parse_ipv6_extensions(cut(packet, size), packet.size());
    EXPECT_EQ(scattered.error().reason, DropReason::kHeadersScattered) << size;
  }
}

TEST(Ipv6Extensions, EndlessChainIsDropped) {
  std::string body;
  for (unsigned i = 0; i < kMaxIpv6Extensions; ++i) body += "3c00010400000000";
  EXPECT_EQ(refusal_of(kProtocolDestinationOptions, body + "3b00010400000000").reason,
            DropReason::kIpv6ExtensionTooMany);
  body.replace(body.size() - 16, 2, "3b");
  EXPECT_TRUE(walk(packet_with(kProtocolDestinationOptions, body)).has_value());
}

TEST(Ipv6Extensions, HopByHopAnywhereButFirstIsDropped) {
  const Refusal refusal =
      refusal_of(kProtocolDestinationOptions, "0000010400000000 3b00010400000000");
  EXPECT_EQ(refusal, (Refusal{DropReason::kIpv6HopByHopMisplaced, 40}));
  EXPECT_EQ(parameter_problem_code(refusal.reason, false), 1);
}

TEST(Ipv6Extensions, RoutingHeaderOfType0IsDropped) {
  const auto refusal = walk(from_hex(packets::kIpv6RoutingType0.hex)).error();
  EXPECT_EQ(refusal, (Refusal{DropReason::kIpv6RoutingType0, 42}));
  EXPECT_EQ(parameter_problem_code(refusal.reason, false), 0);
}

TEST(Ipv6Extensions, RoutingHeaderIsDroppedUnlessItIsUsedUp) {
  EXPECT_EQ(refusal_of(kProtocolRouting, "3b00040100000000"),
            (Refusal{DropReason::kIpv6RoutingNotOurs, 42}));
  EXPECT_TRUE(walk(packet_with(kProtocolRouting, "3b00040000000000")).has_value());
}

TEST(Ipv6Extensions, UnknownOptionsActAsTheirHighestBitsSay) {
  EXPECT_TRUE(walk(packet_with(kProtocolDestinationOptions, "3b001e0401020304")).has_value());
  const Refusal silent = refusal_of(kProtocolDestinationOptions, "3b005e0401020304");
  EXPECT_EQ(silent, (Refusal{DropReason::kIpv6OptionUnknown, 42}));
  EXPECT_EQ(parameter_problem_code(silent.reason, false), std::nullopt);

  const Refusal report = refusal_of(kProtocolDestinationOptions, "3b0000009e020102");
  EXPECT_EQ(report, (Refusal{DropReason::kIpv6OptionUnknownReport, 44}));
  EXPECT_EQ(parameter_problem_code(report.reason, true), 2);
  EXPECT_EQ(walk(from_hex(packets::kIpv6UnknownOptionReport.hex)).error().reason, report.reason);

  const Refusal unicast = refusal_of(kProtocolDestinationOptions, "3b00de0401020304");
  EXPECT_EQ(unicast, (Refusal{DropReason::kIpv6OptionUnknownReportUnicast, 42}));
  EXPECT_EQ(parameter_problem_code(unicast.reason, false), 2);
  EXPECT_EQ(parameter_problem_code(unicast.reason, true), std::nullopt);
}

TEST(Ipv6Extensions, OptionRunningPastItsHeaderIsDropped) {
  EXPECT_EQ(refusal_of(kProtocolDestinationOptions, "3b00010501020304").reason,
            DropReason::kIpv6OptionBeyondHeader);
  EXPECT_EQ(refusal_of(kProtocolDestinationOptions, "3b00000000000001").reason,
            DropReason::kIpv6OptionBeyondHeader);
}

TEST(Ipv6Extensions, JumbogramAndBadRouterAlertAreDropped) {
  EXPECT_EQ(refusal_of(kProtocolHopByHop, "3b00c20400010000").reason, DropReason::kIpv6Jumbogram);
  EXPECT_EQ(refusal_of(kProtocolHopByHop, "3b00050300000000"),
            (Refusal{DropReason::kIpv6OptionLength, 43}));
}

TEST(Ipv6Fragments, WalkEndsAtTheFragmentsData) {
  const ByteVector packet = from_hex(packets::kIpv6LastFragment.hex);
  const auto found = walk(packet).value();
  EXPECT_EQ(found.protocol, kProtocolUdp);
  EXPECT_EQ(found.fragment, 40);
  EXPECT_EQ(found.fragment_next_at, 6);
  EXPECT_EQ(found.upper, 48);
  const auto fragment = parse_ipv6_fragment(behind(packet, 40)).value();
  EXPECT_EQ(fragment.offset, 64);
  EXPECT_FALSE(fragment.more);
  EXPECT_EQ(fragment.identification, 0x01020304U);
  ByteVector written(8);
  EXPECT_EQ(emit(fragment, written), 8U);
  EXPECT_EQ(written, cut(behind(packet, 40), 8));
}

TEST(Ipv6Fragments, OffsetPlusLengthBeyond65535IsDropped) {
  EXPECT_EQ(refusal_of(kProtocolFragment, std::string("1100fff800000001") + kEightBytes.data()),
            (Refusal{DropReason::kIpv6FragmentBeyondMaximum, 42}));
  EXPECT_TRUE(walk(packet_with(kProtocolFragment, "1100fff800000001 01020304050607")).has_value());
}

TEST(Ipv6Fragments, NonLastWithLengthNoMultipleOf8IsDropped) {
  const Refusal refusal = refusal_of(kProtocolFragment, "1100000900000001 010203040506070809");
  EXPECT_EQ(refusal, (Refusal{DropReason::kIpv6FragmentUnaligned, 4}));
  EXPECT_EQ(parameter_problem_code(refusal.reason, false), 0);
}

TEST(Ipv6Fragments, EmptyPayloadIsDropped) {
  EXPECT_EQ(refusal_of(kProtocolFragment, "1100000800000001").reason,
            DropReason::kIpv6FragmentEmpty);
}

TEST(Ipv6Fragments, FragmentInsideAFragmentIsDropped) {
  // Behind an atomic one, and in the first of several.
  EXPECT_EQ(
      refusal_of(kProtocolFragment, "2c00000000000001 1100000000000002 0102030405060708").reason,
      DropReason::kIpv6FragmentNested);
  EXPECT_EQ(
      refusal_of(kProtocolFragment, "2c00000100000001 1100000000000002 0102030405060708").reason,
      DropReason::kIpv6FragmentNested);
}

TEST(Ipv6Fragments, TinyFirstFragmentIsDropped) {
  // 16 bytes of a TCP header.
  const Refusal refusal =
      refusal_of(kProtocolFragment, "0600000100000001 9c400050000003e9 00001388801801f6");
  EXPECT_EQ(refusal.reason, DropReason::kIpv6FirstFragmentIncomplete);
  EXPECT_EQ(parameter_problem_code(refusal.reason, false), 3);
  // Destination options that go on in the next fragment.
  EXPECT_EQ(refusal_of(kProtocolFragment, "3c00000100000001 1101000000000000").reason,
            DropReason::kIpv6FirstFragmentIncomplete);
  EXPECT_TRUE(walk(from_hex(packets::kIpv6FirstFragment.hex)).has_value());
}

TEST(Ipv6UpperLayer, IsFoundByLengthsAlone) {
  // Behind an unknown option, and in a first fragment.
  EXPECT_EQ(find_ipv6_upper_layer(packet_with(60, "3a009e0400000000 0102030405060708")),
            (Ipv6UpperLayer{.protocol = 58, .at = 48}));
  EXPECT_EQ(find_ipv6_upper_layer(packet_with(44, "3a00000100000001 0102030405060708")),
            (Ipv6UpperLayer{.protocol = 58, .at = 48}));
  EXPECT_EQ(find_ipv6_upper_layer(kUdp), (Ipv6UpperLayer{.protocol = 17, .at = 40}));
  // In another fragment, behind the end, at the end of too long a chain.
  EXPECT_EQ(find_ipv6_upper_layer(packet_with(44, "3a00000900000001 0102030405060708")),
            std::nullopt);
  EXPECT_EQ(find_ipv6_upper_layer(packet_with(60, "3a01000000000000")), std::nullopt);
  EXPECT_EQ(find_ipv6_upper_layer(packet_with(60, "3a00000000")), std::nullopt);
  ByteVector chain = packet_with(60, "");
  for (int i = 0; i < 9; ++i) chain = chain + from_hex("3c00000000000000");
  EXPECT_EQ(find_ipv6_upper_layer(chain), std::nullopt);
}

}  // namespace
}  // namespace tideline::wire
