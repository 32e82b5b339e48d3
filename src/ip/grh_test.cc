// SPDX-License-Identifier: Apache-2.0
#include "ip/grh.h"

#include <gtest/gtest.h>

#include "ip/test_host.h"
#include "wire/roce.h"

namespace tideline::ip {
namespace {

class Taker final : public ProtocolHandler {
 public:
  void receive(packet::PacketPtr packet, const Datagram& datagram, Instant /*now*/) override {
    payloads.push_back(behind(contents(*packet), datagram.layout.payload));
    last = datagram;
  }
  bool recognises(const PathError& /*error*/) const override { return false; }
  void failed(const PathError& /*error*/, Instant /*now*/) override {}

  std::vector<ByteVector> payloads;
  Datagram last;
};

ByteVector grh(const Ipv6Address& from, const Ipv6Address& to, const ByteVector& payload) {
  ByteVector header(sizeof(wire::Ipv6Header));
  wire::emit(wire::Ipv6{.traffic_class = 8,
                        .payload_length = static_cast<std::uint16_t>(payload.size()),
                        .next_header = wire::kProtocolGrh,
                        .hop_limit = 3,
                        .source = from,
                        .destination = to},
             header);
  return std::move(header) + payload;
}

constexpr Ipv6Address mapped(Ipv4Address address) { return Ipv6Address::mapped(address); }

class RoceV1 : public ::testing::Test {
 protected:
  void SetUp() override { host->stack.grh().set_handler(&taker); }
  void comes(const ByteVector& packet, const MacAddress& to = kOurMac) {
    host->receive(ethernet(wire::kEtherTypeRoce, packet, to));
  }
  Sent send(const Ipv6Address& from, const Ipv6Address& to, std::size_t size = 16) {
    packet::PassCounter passes;
    return host->stack.send(packet::copy_of(pattern(size, 1), *host->pool, passes),
                            {.source = from,
                             .destination = to,
                             .protocol = wire::kProtocolGrh,
                             .hop_limit = 3,
                             .traffic_class = 8},
                            host->now);
  }

  std::unique_ptr<TestHost> host = TestHost::acquainted();
  Taker taker;
};

TEST_F(RoceV1, RcvGrh_ForUs_GoesToTheHandler) {
  comes(grh(kPeer6, kOurs6, pattern(16, 1)));
  comes(grh(mapped(kPeer4), mapped(kOurs4), pattern(20, 2)));
  ASSERT_EQ(taker.payloads.size(), 2U);
  EXPECT_EQ(taker.payloads[0], pattern(16, 1));
  EXPECT_EQ(taker.payloads[1], pattern(20, 2));
  EXPECT_EQ(taker.last.source, mapped(kPeer4));
  EXPECT_EQ(taker.last.destination, mapped(kOurs4));
  EXPECT_EQ(taker.last.hop_limit, 3);
  EXPECT_EQ(taker.last.traffic_class, 8);
}

TEST_F(RoceV1, RcvGrh_OfOthers_IsDropped) {
  comes(grh(kPeer6, kOther6, pattern(16, 1)));
  comes(grh(mapped(kPeer4), mapped(kOther4), pattern(16, 1)));
  EXPECT_EQ(host->drops(Discard::kNotOurs), 2U);
  comes(grh(kOurs6, kOurs6, pattern(16, 1)));
  EXPECT_EQ(host->drops(Discard::kSourceIsOurs), 1U);
  comes(grh({}, kOurs6, pattern(16, 1)));
  EXPECT_EQ(host->drops(Discard::kSourceUnspecified), 1U);
  comes(grh(kPeer6, kOurs6, pattern(16, 1)), wire::kMacBroadcast);
  EXPECT_EQ(host->drops(Discard::kLinkMulticast), 1U);
  host->stack.grh().set_handler(nullptr);
  comes(grh(kPeer6, kOurs6, pattern(16, 1)));
  EXPECT_EQ(host->drops(Discard::kEtherType), 1U);
  EXPECT_TRUE(taker.payloads.empty());
  EXPECT_TRUE(host->sent.empty()) << "nobody is told";
}

// As a datagram of IPv6 it is of a protocol that we do not have.
TEST_F(RoceV1, RcvGrh_BehindTheEtherTypeOfIpv6_IsNoRoce) {
  host->receive(ethernet(wire::kEtherTypeIpv6, grh(kPeer6, kOurs6, pattern(16, 1))));
  EXPECT_TRUE(taker.payloads.empty());
  EXPECT_EQ(host->drops(Discard::kProtocolUnknown), 1U);
}

TEST_F(RoceV1, Send_ToANeighbour_LeavesWithAGrh) {
  ASSERT_TRUE(send(kOurs6, kPeer6));
  ASSERT_TRUE(send(mapped(kOurs4), mapped(kPeer4)));
  ASSERT_EQ(host->sent.size(), 2U);
  EXPECT_EQ(host->sent[0],
            ethernet(wire::kEtherTypeRoce, grh(kOurs6, kPeer6, pattern(16, 1)), kPeerMac, kOurMac));
  EXPECT_EQ(host->sent[1],
            ethernet(wire::kEtherTypeRoce, grh(mapped(kOurs4), mapped(kPeer4), pattern(16, 1)),
                     kPeerMac, kOurMac));
}

TEST_F(RoceV1, Send_ToAStranger_AsksWhereItIsFirst) {
  ASSERT_TRUE(send(mapped(kOurs4), mapped(kOther4)));
  ASSERT_EQ(host->sent.size(), 1U);
  host->sent.clear();
  host->receive(arp({.operation = wire::ArpOperation::kReply,
                     .sender_mac = kOtherMac,
                     .sender_ip = kOther4,
                     .target_mac = kOurMac,
                     .target_ip = kOurs4}));
  ASSERT_EQ(host->sent.size(), 1U);
  EXPECT_EQ(host->sent[0],
            ethernet(wire::kEtherTypeRoce, grh(mapped(kOurs4), mapped(kOther4), pattern(16, 1)),
                     kOtherMac, kOurMac));
}

TEST_F(RoceV1, Send_BeyondTheLink_IsRefused) {
  EXPECT_EQ(send(mapped(kOurs4), mapped(kFar4)).error(), Discard::kNoRoute);
  EXPECT_EQ(send(kOurs6, Ipv6Address(0x20010db800010000, 1)).error(), Discard::kNoRoute);
  EXPECT_EQ(send(kOther6, kPeer6).error(), Discard::kSourceNotOurs);
  EXPECT_EQ(send(kOurs6, kPeer6, 1461).error(), Discard::kTooBig);
  EXPECT_TRUE(host->sent.empty());
}

}  // namespace
}  // namespace tideline::ip
