// SPDX-License-Identifier: Apache-2.0
#include "wire/packet_layout.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "wire/protocol.h"
#include "wire/test_bytes.h"
#include "wire/test_packets.h"

namespace tideline::wire {
namespace {

constexpr LayoutOptions kVlans{.accept_vlan = true};

PacketLayout layout_of(const packets::Sample& sample, LayoutOptions options = {}) {
  const ByteVector frame = from_hex(sample.hex);
  return parse_layout(frame, frame.size(), options).value();
}

DropReason reason_of(const ByteVector& frame) { return parse_layout(frame).error().reason; }

TEST(PacketLayout, OfTcpOverIpv4) {
  const ByteVector frame = from_hex(packets::kEthernetTcp4.hex);
  const auto layout = parse_layout(frame).value();
  EXPECT_EQ(layout.cast, LinkCast::kUnicast);
  EXPECT_EQ(layout.l3, 14);
  EXPECT_EQ(layout.l4, 34);
  EXPECT_EQ(layout.payload, 34 + 32);
  EXPECT_EQ(layout.end, frame.size());
  EXPECT_EQ(layout.ip_version, 4);
  EXPECT_EQ(layout.protocol, kProtocolTcp);
  EXPECT_FALSE(layout.is_fragment());
  EXPECT_EQ(layout.ipv4(frame).ttl, 64);
  EXPECT_EQ(layout.tcp(frame).destination_port.value(), 80);
  EXPECT_EQ(layout.payload_bytes(frame).size(), 18U);
  EXPECT_EQ(layout.payload_bytes(frame)[0], std::byte{'G'});
  EXPECT_EQ(parse_tcp(layout.l4_bytes(frame))->options.timestamps->value, 0x11223344U);
}

TEST(PacketLayout, OfTcpAndUdpOverIpv6) {
  const auto tcp = layout_of(packets::kEthernetTcp6);
  EXPECT_EQ(tcp.ip_version, 6);
  EXPECT_EQ(tcp.l4, 54);
  EXPECT_EQ(tcp.payload, 54 + 32);
  const ByteVector frame = from_hex(packets::kEthernetUdp6.hex);
  const auto udp = parse_layout(frame).value();
  EXPECT_EQ(udp.payload, 62);
  EXPECT_EQ(udp.payload_size(), 5U);
  EXPECT_EQ(udp.udp(frame).destination_port.value(), 4242);
  EXPECT_EQ(udp.ipv6(frame).hop_limit, 64);
}

TEST(PacketLayout, OfRoceV1) {
  const ByteVector frame = from_hex(packets::kRoceV1SendOnly.hex);
  const auto layout = parse_layout(frame).value();
  EXPECT_TRUE(layout.is_grh());
  EXPECT_EQ(layout.ip_version, 0);
  EXPECT_EQ(layout.protocol, kProtocolGrh);
  EXPECT_EQ(layout.l4, 54);
  EXPECT_EQ(layout.payload, 54);
  EXPECT_EQ(layout.end, frame.size());
  EXPECT_EQ(layout.ipv6(frame).hop_limit, 64);
  // A GRH that carries something else, is another version of IP, or speaks of more than there is.
  EXPECT_EQ(reason_of(with(frame, 20, {17})), DropReason::kRoceNextHeader);
  EXPECT_EQ(reason_of(with(frame, 14, {0x45})), DropReason::kIpv6Version);
  EXPECT_EQ(reason_of(with(frame, 19, {25})), DropReason::kIpv6LengthBeyondFrame);
  EXPECT_EQ(reason_of(cut(frame, 53)), DropReason::kIpv6Short);
}

TEST(PacketLayout, OfArp) {
  const auto layout = layout_of(packets::kEthernetArpRequest);
  EXPECT_EQ(layout.cast, LinkCast::kBroadcast);
  EXPECT_EQ(layout.ether_type, kEtherTypeArp);
  EXPECT_EQ(layout.ip_version, 0);
  EXPECT_EQ(layout.l4, layout.l3);
  EXPECT_EQ(layout.payload, layout.l3);
  EXPECT_EQ(layout.l3_size(), 28U);
}

TEST(PacketLayout, EthernetPaddingIsTrimmed) {
  const auto padded = layout_of(packets::kEthernetPadded);
  EXPECT_EQ(padded.payload_size(), 5U);
  EXPECT_EQ(padded, layout_of(packets::kEthernetPlain));
}

TEST(PacketLayout, UdpLengthBelowTheIpPayloadRules) {
  ByteVector frame = from_hex(packets::kEthernetUdp6.hex);
  frame = with(std::move(frame), 54 + 4, {0, 10});
  EXPECT_EQ(parse_layout(frame)->payload_size(), 2U);
}

TEST(PacketLayout, VlanTaggedFrameIsDroppedUnlessConfigured) {
  EXPECT_EQ(reason_of(from_hex(packets::kEthernetOneVlanTag.hex)), DropReason::kVlanNotConfigured);
  EXPECT_EQ(reason_of(from_hex(packets::kEthernetTwoVlanTags.hex)), DropReason::kVlanNotConfigured);
  const auto one = layout_of(packets::kEthernetOneVlanTag, kVlans);
  EXPECT_EQ(one.vlan_tags, 1);
  EXPECT_EQ(one.vlan_tci & 0xfff, 100);
  EXPECT_EQ(one.l3, 18);
  EXPECT_EQ(one.payload_size(), 5U);
  const auto two = layout_of(packets::kEthernetTwoVlanTags, kVlans);
  EXPECT_EQ(two.vlan_tags, 2);
  EXPECT_EQ(two.l3, 22);
}

TEST(PacketLayout, FragmentsOfIpv4AreNotLookedInto) {
  const auto first = layout_of(packets::kEthernetFragment4First);
  EXPECT_TRUE(first.is_fragment() && first.more_fragments);
  EXPECT_EQ(first.fragment_id, 0x77U);
  EXPECT_EQ(first.payload, first.l4);
  EXPECT_EQ(first.payload_size(), 64U);
  const auto last = layout_of(packets::kEthernetFragment4Last);
  EXPECT_EQ(last.fragment_offset, 64);
  EXPECT_EQ(last.payload_size(), 13U);
  EXPECT_EQ(last.protocol, kProtocolUdp);
}

TEST(PacketLayout, FragmentsOfIpv6AreNotLookedInto) {
  const auto first = layout_of(packets::kEthernetFragment6First);
  EXPECT_TRUE(first.more_fragments);
  EXPECT_EQ(first.fragment_id, 0x01020304U);
  EXPECT_EQ(first.fragment_header, 14 + 40 + 8);
  EXPECT_EQ(first.fragment_next_at, 14 + 40);
  EXPECT_EQ(first.l4, 14 + 40 + 8 + 8);
  EXPECT_EQ(first.payload, first.l4);
  const auto last = layout_of(packets::kEthernetFragment6Last);
  EXPECT_EQ(last.fragment_offset, 64);
  EXPECT_EQ(last.protocol, kProtocolUdp);
}

TEST(PacketLayout, RefusalPointsAtTheOctet) {
  const ByteVector packet = from_hex(packets::kIpv6UnknownOptionReport.hex);
  const ByteVector frame = from_hex("020000000002 020000000001 86dd") + packet;
  // Counted from the IPv6 header, as ICMPv6 wants it.
  EXPECT_EQ(parse_layout(frame).error(), (Refusal{DropReason::kIpv6OptionUnknownReport, 42}));
}

TEST(PacketLayout, IpInIpIsNotFollowed) {
  const ByteVector inner = from_hex(packets::kIpv4Udp.hex);
  Ipv4 outer{.total_length = static_cast<std::uint16_t>(20 + inner.size()),
             .protocol = kProtocolIpv4,
             .source = Ipv4Address(192, 0, 2, 1),
             .destination = Ipv4Address(192, 0, 2, 2)};
  ByteVector header(20);
  emit(outer, header);
  // The inner total length says more than the outer has: nobody looks.
  const ByteVector frame =
      from_hex("020000000002 020000000001 0800") + header + with(inner, 2, {0xff, 0xff});
  const auto layout = parse_layout(frame).value();
  EXPECT_EQ(layout.protocol, kProtocolIpv4);
  EXPECT_EQ(layout.payload, 34);
}

// Whatever a frame is cut to, the parser either refuses it or stays within it.
TEST(PacketLayout, CutAnywhereNoOffsetLeavesTheFrame) {
  for (const auto& sample : packets::kEthernetAll) {
    const ByteVector whole = from_hex(sample.hex);
    for (std::size_t size = 0; size <= whole.size(); ++size) {
      const ByteVector frame = cut(whole, size);
      const auto layout = parse_layout(frame, size, kVlans);
      if (!layout) continue;
      EXPECT_LE(layout->l3, layout->l4);
      EXPECT_LE(layout->l4, layout->payload);
      EXPECT_LE(layout->payload, layout->end);
      EXPECT_LE(layout->end, size);
    }
  }
}

// The same when only the first bytes are at hand: the layout of the whole frame, or nothing.
TEST(PacketLayout, HeadersBeyondTheFirstSegmentAreNoticed) {
  for (const auto& sample : packets::kEthernetAll) {
    const ByteVector whole = from_hex(sample.hex);
    const auto expected = parse_layout(whole, whole.size(), kVlans).value();
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const auto layout = parse_layout(cut(whole, size), whole.size(), kVlans);
      if (layout) {
        EXPECT_EQ(*layout, expected) << sample.name << size;
        EXPECT_LE(layout->payload, size);
      } else {
        EXPECT_EQ(layout.error().reason, DropReason::kHeadersScattered) << sample.name << size;
      }
    }
  }
}

TEST(PacketLayout, RandomDamageStaysWithinTheFrame) {
  Rng rng(7);
  for (int round = 0; round < 200'000; ++round) {
    const auto& sample = packets::kEthernetAll[rng.below(packets::kEthernetAll.size())];
    ByteVector frame = from_hex(sample.hex);
    for (std::size_t i = 1 + rng.below(3); i > 0; --i) {
      frame[rng.below(frame.size())] = static_cast<std::byte>(rng.below(256));
    }
    const auto layout = parse_layout(frame, frame.size(), kVlans);
    if (!layout) continue;
    ASSERT_LE(layout->l3, layout->l4);
    ASSERT_LE(layout->l4, layout->payload);
    ASSERT_LE(layout->payload, layout->end);
    ASSERT_LE(layout->end, frame.size());
  }
}

}  // namespace
}  // namespace tideline::wire
