// SPDX-License-Identifier: Apache-2.0
// IPv6 packets whose headers a host cannot follow: what it tells their sender, and what it keeps to
// itself. RFC 8200 §4, RFC 5095, RFC 7112. And fragments that need no reassembly, or are marked.
#include <gtest/gtest.h>

#include "ip/test_host.h"

namespace tideline::ip {
namespace {

using wire::DropReason;

class Ipv6Reports : public ::testing::Test {
 protected:
  void TearDown() override { expect_healthy(*host); }

  // The host answers with a parameter problem of that code, which points there and quotes the
  // packet; to a group of its own, with nothing.
  void expect_report(std::uint8_t next_header, const ByteVector& packet, DropReason reason,
                     unsigned code, unsigned pointer) {
    const ByteVector frame = ipv6(next_header, packet);
    const std::uint64_t before = host->drops(reason);
    host->receive(frame);
    EXPECT_EQ(host->drops(reason), before + 1);
    ASSERT_EQ(host->sent.size(), 1U);
    const ByteVector error = host->next_sent();
    EXPECT_EQ(cut(behind(error, 54), 2), (ByteVector{std::byte{4}, static_cast<std::byte>(code)}));
    EXPECT_EQ(cut(behind(error, 58), 4), (ByteVector{{}, {}, {}, static_cast<std::byte>(pointer)}));
    EXPECT_EQ(behind(error, 62), behind(frame, 14));
    host->receive(
        ipv6({.next_header = next_header, .source = kPeer6, .destination = wire::kIpv6AllNodes},
             packet));
    EXPECT_EQ(host->drops(reason), before + 2);
    EXPECT_TRUE(host->sent.empty());
  }
  static ByteVector echo(std::size_t size = 8) {
    return icmpv6({.type = wire::Icmpv6Type::kEchoRequest}, pattern(size, 1));
  }
  static ByteVector fragment_header(const wire::Ipv6Fragment& fragment) {
    ByteVector header(sizeof(wire::Ipv6FragmentHeader));
    wire::emit(fragment, header);
    return header;
  }
  static ByteVector fragment(const wire::Ipv6Fragment& fields, const ByteVector& data,
                             std::uint8_t traffic_class = 0) {
    return ipv6({.traffic_class = traffic_class,
                 .next_header = wire::kProtocolFragment,
                 .source = kPeer6,
                 .destination = kOurs6},
                fragment_header(fields) + data);
  }

  std::unique_ptr<TestHost> host = TestHost::acquainted();
};

// RFC 8200 §4.1, §4: at the octet that names it.
TEST_F(Ipv6Reports, RcvHopByHop_NotTheFirst_IsAnUnknownNextHeader) {
  const ByteVector hop_by_hop = wire::from_hex("3a 00 01 04 00 00 00 00");
  const ByteVector destination_options = wire::from_hex("00 00 01 04 00 00 00 00");
  expect_report(wire::kProtocolDestinationOptions, destination_options + hop_by_hop + echo(),
                DropReason::kIpv6HopByHopMisplaced, 1, 40);
}

// RFC 8200 §4.4, RFC 5095 §3: at the type, of whatever type.
TEST_F(Ipv6Reports, RcvRoutingHeader_WithSegmentsLeft_IsReported) {
  const ByteVector rest(20);
  for (const unsigned type : {0U, 2U, 3U, 4U, 253U}) {
    const ByteVector routing = with(wire::from_hex("3a 02 00 01") + rest, 2, {type});
    expect_report(wire::kProtocolRouting, routing + echo(),
                  type == 0 ? DropReason::kIpv6RoutingType0 : DropReason::kIpv6RoutingNotOurs, 0,
                  42);
    host->advance(std::chrono::seconds(1));
    host->meet_peer();
    // Used up, it is passed over.
    host->receive(ipv6(wire::kProtocolRouting, with(routing, 3, {0}) + echo()));
    ASSERT_EQ(host->sent.size(), 1U);
    EXPECT_EQ(host->next_sent()[54], std::byte{129});
  }
}

// RFC 7112 §5, §6.
TEST_F(Ipv6Reports, RcvFirstFragment_WithoutAllHeaders_IsReported) {
  const wire::Ipv6Fragment first{
      .next_header = wire::kProtocolTcp, .more = true, .identification = 3};
  expect_report(wire::kProtocolFragment, fragment_header(first) + pattern(16, 1),
                DropReason::kIpv6FirstFragmentIncomplete, 3, 0);
  // Options that go on in the next fragment.
  const wire::Ipv6Fragment options{
      .next_header = wire::kProtocolDestinationOptions, .more = true, .identification = 4};
  expect_report(wire::kProtocolFragment,
                fragment_header(options) + wire::from_hex("3a 01 01 04 00 00 00 00"),
                DropReason::kIpv6FirstFragmentIncomplete, 3, 0);
  EXPECT_EQ(host->stack.reassembler().datagrams(), 0U);
}

// RFC 8200 §4.7.
TEST_F(Ipv6Reports, RcvNoNextHeader_IsPassedOverInSilence) {
  host->receive(ipv6(wire::kProtocolNoNext, {}));
  host->receive(ipv6(wire::kProtocolNoNext, pattern(20, 1)));
  host->receive(ipv6(wire::kProtocolDestinationOptions,
                     wire::from_hex("3b 00 01 04 00 00 00 00") + pattern(20, 1)));
  EXPECT_EQ(host->drops(Discard::kProtocolUnknown), 3U);
  EXPECT_TRUE(host->sent.empty());
}

// RFC 6946 §4: neither completes it, nor overlaps it, nor is held up by it.
TEST_F(Ipv6Reports, RcvAtomicFragment_BesideOthersOfItsNumber_IsADatagramOfItsOwn) {
  const ByteVector message = echo(92);  // 100 bytes
  const wire::Ipv6Fragment first{
      .next_header = wire::kProtocolIcmpv6, .more = true, .identification = 3};
  const wire::Ipv6Fragment last{
      .next_header = wire::kProtocolIcmpv6, .offset = 48, .identification = 3};
  const wire::Ipv6Fragment atomic{.next_header = wire::kProtocolIcmpv6, .identification = 3};
  host->receive(fragment(first, cut(message, 48)));
  EXPECT_EQ(host->stack.reassembler().datagrams(), 1U);
  host->receive(fragment(atomic, echo(8)));
  ASSERT_EQ(host->sent.size(), 1U);
  EXPECT_EQ(host->next_sent().size(), 14U + 40 + 16);
  EXPECT_EQ(host->stack.reassembler().datagrams(), 1U);
  host->receive(fragment(last, behind(message, 48)));
  ASSERT_EQ(host->sent.size(), 1U);
  EXPECT_EQ(host->next_sent().size(), 14U + 40 + 100);
  EXPECT_EQ(total_drops(host->stack.drops()), 0U);
}

// RFC 3168 §5.3: what one fragment has met, the datagram has met.
TEST_F(Ipv6Reports, RcvCongestionMarkOnOneFragment_MarksTheDatagram) {
  constexpr std::uint8_t kCapable = 2;
  constexpr std::uint8_t kMet = 3;
  const ByteVector message = echo(92);
  std::uint32_t number = 0;
  for (const auto& [of_first, of_last] :
       {std::pair(kCapable, kMet), std::pair(kMet, kCapable), std::pair(kCapable, kCapable)}) {
    ++number;
    host->receive(
        fragment({.next_header = wire::kProtocolIcmpv6, .more = true, .identification = number},
                 cut(message, 48), of_first));
    host->receive(
        fragment({.next_header = wire::kProtocolIcmpv6, .offset = 48, .identification = number},
                 behind(message, 48), of_last));
    ASSERT_EQ(host->sent.size(), 1U);
    const ByteVector answer = host->next_sent();  // echoes return the traffic class
    const int traffic_class =
        wire::view_as<wire::be16>(wire::Bytes(answer).subspan(14)).value() >> 4 & 0xff;
    EXPECT_EQ(traffic_class, number < 3 ? kMet : kCapable);
  }
}

}  // namespace
}  // namespace tideline::ip
