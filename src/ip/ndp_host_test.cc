// SPDX-License-Identifier: Apache-2.0
// What a host says and does not say in neighbour discovery, and what it takes of prefixes: RFC 4861
// §6, §7, RFC 4862 §5, RFC 6980.
#include <gtest/gtest.h>

#include <algorithm>

#include "ip/test_host.h"

namespace tideline::ip {
namespace {

using std::chrono::seconds;

// Of a frame of neighbour discovery; it must be one.
struct Heard {
  wire::Ipv6Header header{};
  MacAddress to;
  wire::Ndp message;
};
Heard parsed(const ByteVector& frame) {
  const auto layout = wire::parse_layout(frame);
  EXPECT_TRUE(layout.has_value());
  if (!layout) return {};
  const wire::Ipv6Header& header = layout->ipv6(frame);
  const auto message = wire::parse_ndp(
      layout->l4_bytes(frame),
      {.source = header.source, .destination = header.destination, .hop_limit = header.hop_limit});
  EXPECT_TRUE(message.has_value());
  return {.header = header,
          .to = wire::view_as<MacAddress>(wire::Bytes(frame)),
          .message = message.value_or(wire::RouterSolicitation{})};
}

class NdpOfAHost : public ::testing::Test {
 protected:
  void TearDown() override { expect_healthy(*host); }

  std::unique_ptr<TestHost> host = TestHost::acquainted();
};

// RFC 4861 §6.2.6 is for routers: neither answered, nor is anybody learnt from it.
TEST_F(NdpOfAHost, RcvRouterSolicitation_IsDropped) {
  host->receive(
      ndp(wire::RouterSolicitation{.source_mac = kOtherMac}, kOther6, wire::kIpv6AllNodes));
  host->receive(ndp(wire::RouterSolicitation{.source_mac = kOtherMac}, kOther6, kOurs6));
  host->receive(ndp(wire::RouterSolicitation{}, Ipv6Address(), wire::kIpv6AllNodes));
  EXPECT_EQ(host->drops(Discard::kNdpRouterMessage), 3U);
  EXPECT_TRUE(host->sent.empty());
  EXPECT_EQ(host->stack.ndp().neighbours().size(), 1U);
  // Nor by one that configures itself.
  TestHost configures;
  configures.stack.configure_ipv6(configures.now);
  configures.sent.clear();
  configures.receive(
      ndp(wire::RouterSolicitation{.source_mac = kOtherMac}, kOther6, wire::kIpv6AllNodes));
  EXPECT_EQ(configures.drops(Discard::kNdpRouterMessage), 1U);
  EXPECT_TRUE(configures.sent.empty());
  EXPECT_EQ(configures.stack.ndp().neighbours().size(), 0U);
}

// RFC 4861 §7.2.4: who tests the address has none yet, so all are told.
TEST_F(NdpOfAHost, RcvProbe_ForOurAddress_IsAnsweredToAllNodes) {
  host->receive(
      ndp(wire::NeighbourSolicitation{.target = kOurs6}, Ipv6Address(), kOurs6.solicited_node()));
  ASSERT_EQ(host->sent.size(), 1U);
  const Heard answer = parsed(host->next_sent());
  EXPECT_EQ(answer.header.source, kOurs6);
  EXPECT_EQ(answer.header.destination, wire::kIpv6AllNodes);
  EXPECT_EQ(answer.to, MacAddress::for_multicast(wire::kIpv6AllNodes));
  EXPECT_EQ(answer.message, wire::Ndp(wire::NeighbourAdvertisement{.router = false,
                                                                   .solicited = false,
                                                                   .override_cache = true,
                                                                   .target = kOurs6,
                                                                   .target_mac = kOurMac}));
  // Who has an address is answered alone.
  host->receive(ndp(wire::NeighbourSolicitation{.target = kOurs6, .source_mac = kPeerMac}, kPeer6,
                    kOurs6.solicited_node()));
  const Heard another = parsed(host->next_sent());
  EXPECT_EQ(another.header.destination, kPeer6);
  EXPECT_EQ(another.to, kPeerMac);
  EXPECT_TRUE(std::get<wire::NeighbourAdvertisement>(another.message).solicited);
}

// RFC 4861 §7.2.2: to its group, and with our address.
TEST_F(NdpOfAHost, SndPacket_ToAStranger_AsksItsGroup) {
  const auto host6 = TestHost::configured();
  (void)host6->stack.ping(host6->packet_of(pattern(8, 1)), kOther6, 7, 1, host6->now);
  ASSERT_EQ(host6->sent.size(), 1U);
  const Heard question = parsed(host6->next_sent());
  EXPECT_EQ(question.header.source, kOurs6);
  EXPECT_EQ(question.header.destination, kOther6.solicited_node());
  EXPECT_EQ(question.to, MacAddress::for_multicast(kOther6.solicited_node()));
  EXPECT_EQ(question.message,
            wire::Ndp(wire::NeighbourSolicitation{.target = kOther6, .source_mac = kOurMac}));
  host6->advance(seconds(5));
}

// RFC 6980 §5: nothing of this comes in fragments, not even in one that is the whole.
TEST_F(NdpOfAHost, RcvMessage_InAnAtomicFragment_IsDropped) {
  const auto in_fragment = [](const wire::Ndp& message, const Ipv6Address& destination) {
    ByteVector bytes(wire::kMaxNdpSize);
    bytes.resize(wire::emit(message, bytes));
    fill_icmpv6_checksum(bytes, kPeer6, destination);
    ByteVector header(sizeof(wire::Ipv6FragmentHeader));
    wire::emit(wire::Ipv6Fragment{.next_header = wire::kProtocolIcmpv6, .identification = 3},
               header);
    return ipv6({.next_header = wire::kProtocolFragment,
                 .hop_limit = wire::kNdpHopLimit,
                 .source = kPeer6,
                 .destination = destination},
                header + bytes);
  };
  host->receive(
      in_fragment(wire::NeighbourSolicitation{.target = kOurs6, .source_mac = kOtherMac}, kOurs6));
  host->receive(in_fragment(
      wire::NeighbourAdvertisement{
          .override_cache = true, .target = kPeer6, .target_mac = kOtherMac},
      wire::kIpv6AllNodes));
  host->receive(in_fragment(
      wire::NeighbourAdvertisement{
          .override_cache = true, .target = kOurs6, .target_mac = kOtherMac},
      wire::kIpv6AllNodes));
  EXPECT_EQ(host->drops(Discard::kNdpFragmented), 3U);
  EXPECT_TRUE(host->sent.empty());
  EXPECT_TRUE(host->conflicts.empty());
  EXPECT_EQ(host->stack.ndp().neighbours().mac(kPeer6), kPeerMac);
}

// RFC 4862 §5.4.3: the address is nobody's yet, so who asks for it gets no answer, and is no
// duplicate either.
TEST(Duplicates, RcvSolicitation_OfATentativeAddress_IsNotAnswered) {
  TestHost host({.mac = kOurMac, .group_reports = false});
  ASSERT_TRUE(host.stack.add_address(wire::Ipv6Prefix{kOurs6, 64}, host.now));
  const wire::NeighbourSolicitation question{.target = kOurs6, .source_mac = kPeerMac};
  host.receive(ndp(question, kPeer6, kOurs6.solicited_node()));
  host.receive(ndp(question, kPeer6, kOurs6));
  EXPECT_EQ(host.drops(Discard::kNdpDuplicateProbe), 2U);
  EXPECT_TRUE(host.sent.empty());
  EXPECT_TRUE(host.conflicts.empty());
  EXPECT_EQ(host.stack.ndp().neighbours().size(), 0U);
  host.advance(seconds(3));
  EXPECT_EQ(host.ready, std::vector{kOurs6});
  host.sent.clear();
  host.receive(ndp(question, kPeer6, kOurs6.solicited_node()));
  EXPECT_EQ(host.sent.size(), 1U);
}

class PrefixFlags : public ::testing::Test {
 protected:
  PrefixFlags() { host.stack.configure_ipv6(host.now); }
  void TearDown() override { EXPECT_EQ(host.pool->in_use(), 0U); }

  void advertise(bool on_link, bool autonomous, std::uint32_t lifetime) {
    wire::RouterAdvertisement message{
        .router_lifetime = 1800, .source_mac = kPeerMac, .prefix_count = 1};
    message.prefixes[0] = {.prefix = kAdvertised,
                           .on_link = on_link,
                           .autonomous = autonomous,
                           .valid_lifetime = lifetime,
                           .preferred_lifetime = lifetime};
    host.receive(ndp(message, kSpeaker, wire::kIpv6AllNodes));
  }
  std::optional<Ipv6Address> formed() {
    for (const auto& each : host.stack.addresses().ipv6()) {
      if (kAdvertised.contains(each.prefix.address)) return each.prefix.address;
    }
    return std::nullopt;
  }
  bool on_link() { return host.stack.routes6().is_on_link(kInside); }

  static constexpr Ipv6Address kSpeaker{0xfe80000000000000, 0x99};
  static constexpr wire::Ipv6Prefix kAdvertised{Ipv6Address(0x20010db800050000, 0), 64};
  static constexpr Ipv6Address kInside{0x20010db800050000, 77};
  TestHost host;
};

// RFC 4861 §6.3.4: that says nothing of what is on the link, one way or the other.
TEST_F(PrefixFlags, RcvPrefix_WithoutL_NothingFollowsOfTheLink) {
  advertise(false, true, 3600);
  EXPECT_TRUE(formed().has_value());
  EXPECT_FALSE(on_link());
  EXPECT_EQ(host.stack.ndp().next_hop(kInside, host.now), kSpeaker);
  advertise(true, true, 3600);
  EXPECT_TRUE(on_link());
  advertise(false, true, 0);
  EXPECT_TRUE(on_link());
  advertise(true, true, 0);
  EXPECT_FALSE(on_link());
}

// RFC 4862 §5.5.3 (a).
TEST_F(PrefixFlags, RcvPrefix_WithoutA_FormsNoAddress) {
  advertise(true, false, 3600);
  EXPECT_FALSE(formed().has_value());
  EXPECT_TRUE(on_link());
  EXPECT_EQ(host.stack.ndp().next_hop(kInside, host.now), kInside);
  advertise(true, true, 7200);
  ASSERT_TRUE(formed().has_value());
  advertise(true, false, 20'000);  // nor does it keep one
  host.advance(seconds(7201));
  EXPECT_FALSE(formed().has_value());
  EXPECT_TRUE(on_link());
}

// RFC 4861 §7.2.1.
TEST_F(PrefixFlags, AnAddressThatGoes_TakesItsGroupAlong) {
  const std::size_t before = host.stack.mld().groups().size();
  advertise(true, true, 60);
  const auto address = formed();
  ASSERT_TRUE(address.has_value());
  EXPECT_EQ(host.stack.mld().groups().size(), before + 1);
  EXPECT_TRUE(host.stack.addresses().is_member(address->solicited_node()));
  host.advance(seconds(61));
  EXPECT_FALSE(formed().has_value());
  EXPECT_EQ(host.stack.mld().groups().size(), before);
  EXPECT_FALSE(host.stack.addresses().is_member(address->solicited_node()));
  host.receive(ndp(wire::NeighbourSolicitation{.target = *address, .source_mac = kPeerMac}, kInside,
                   address->solicited_node()));
  EXPECT_EQ(host.drops(Discard::kNotOurs), 1U);
}

}  // namespace
}  // namespace tideline::ip
