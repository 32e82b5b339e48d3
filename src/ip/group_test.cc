// SPDX-License-Identifier: Apache-2.0
// Groups: who hears a datagram to many.
#include <gtest/gtest.h>

#include "ip/test_host.h"
#include "wire/group_message.h"
#include "wire/ipv6_extensions.h"

namespace tideline::ip {
namespace {

constexpr Ipv4Address kGroup4(239, 1, 1, 1);
constexpr std::uint16_t kPort = 1000;

class Listener final : public UdpHandler {
 public:
  void receive(packet::PacketPtr payload, const UdpPath& path, Instant /*now*/) override {
    heard.push_back(contents(*payload));
    destination = path.destination;
  }
  void failed(const PathError& /*error*/, Instant /*now*/) override {}

  std::vector<ByteVector> heard;
  UdpEndpoint destination;
};

ByteVector datagram_to(Ipv4Address destination, const ByteVector& data) {
  return ipv4({.protocol = wire::kProtocolUdp, .source = kPeer4, .destination = destination},
              udp({.source_port = 1, .destination_port = kPort}, data, false, false));
}

class GroupDelivery : public ::testing::Test {
 protected:
  void TearDown() override { expect_healthy(*host); }

  Udp& udp_of_host() { return host->stack.udp(); }

  std::unique_ptr<TestHost> host = TestHost::acquainted();
  Listener first;
  Listener second;
  Listener specific;
};

TEST_F(GroupDelivery, RcvUdp_ToABroadcast_AllListenersHearIt) {
  const Ipv4Address broadcast(192, 0, 2, 255);
  const Ipv6Address ours = Ipv6Address::mapped(broadcast);
  ASSERT_TRUE(udp_of_host().bind({.port = kPort}, first, UdpSharing::kAddress));
  ASSERT_TRUE(udp_of_host().bind({.port = kPort}, second, UdpSharing::kAddress));
  ASSERT_TRUE(udp_of_host().bind({.address = ours, .port = kPort}, specific));
  for (const std::size_t size : {0U, 1U, 1400U}) {
    const ByteVector data = pattern(size, 1);
    host->receive(datagram_to(broadcast, data));
    for (const Listener* each : {&first, &second, &specific}) {
      ASSERT_FALSE(each->heard.empty());
      EXPECT_EQ(each->heard.back(), data);
    }
  }
  EXPECT_EQ(first.heard.size() + second.heard.size() + specific.heard.size(), 9U);
}

TEST_F(GroupDelivery, RcvUdp_ToUs_OneOfThoseWhoShareHearsIt) {
  ASSERT_TRUE(udp_of_host().bind({.port = kPort}, first, UdpSharing::kAddress));
  ASSERT_TRUE(udp_of_host().bind({.port = kPort}, second, UdpSharing::kAddress));
  host->receive(datagram_to(kOurs4, pattern(5, 1)));
  EXPECT_EQ(first.heard.size(), 0U);
  EXPECT_EQ(second.heard.size(), 1U);
  udp_of_host().unbind({.port = kPort}, second);
  host->receive(datagram_to(kOurs4, pattern(5, 1)));
  EXPECT_EQ(first.heard.size(), 1U);
  udp_of_host().unbind({.port = kPort}, first);
  host->receive(datagram_to(kOurs4, pattern(5, 1)));
  EXPECT_EQ(host->drops(Discard::kUdpPortClosed), 1U);
}

TEST_F(GroupDelivery, Bind_SharedOnlyIfAllAgree) {
  ASSERT_TRUE(udp_of_host().bind({.port = kPort}, first, UdpSharing::kAddress));
  EXPECT_FALSE(udp_of_host().bind({.port = kPort}, second));
  udp_of_host().unbind({.port = kPort});
  ASSERT_TRUE(udp_of_host().bind({.port = kPort}, first));
  EXPECT_FALSE(udp_of_host().bind({.port = kPort}, second, UdpSharing::kAddress));
}

TEST_F(GroupDelivery, RcvUdp_ToAGroup_OnlyMembersHearIt) {
  ASSERT_TRUE(udp_of_host().bind({.port = kPort}, first));
  host->receive(datagram_to(kGroup4, pattern(5, 1)));
  EXPECT_EQ(host->drops(Discard::kNotOurs), 1U);
  ASSERT_TRUE(host->stack.join(Ipv6Address::mapped(kGroup4), host->now));
  host->receive(datagram_to(kGroup4, pattern(5, 1)));
  EXPECT_EQ(first.heard.size(), 1U);
  EXPECT_EQ(first.destination.address, Ipv6Address::mapped(kGroup4));
  host->stack.leave(Ipv6Address::mapped(kGroup4), host->now);
  host->receive(datagram_to(kGroup4, pattern(5, 1)));
  EXPECT_EQ(host->drops(Discard::kNotOurs), 2U);
}

// --- what routers are told ---

constexpr Ipv6Address kGroup6(0xff05000000000000, 0x77);
constexpr Ipv6Address kRouter(0xfe80000000000000, 0x99);
constexpr StackOptions kReporting{.mac = kOurMac,
                                  .ndp = {.duplicate_probes = 0},
                                  .address_probe = {.probes = 0, .announcements = 1}};

class Reports : public ::testing::TestWithParam<bool> {
 protected:
  void TearDown() override { EXPECT_EQ(host->pool->in_use(), 0U); }

  bool six() const { return GetParam(); }
  Ipv6Address group() const { return six() ? kGroup6 : Ipv6Address::mapped(kGroup4); }

  // A query from the link's router; the group unspecified: a general one.
  void query(wire::GroupVersion version, std::uint16_t code, bool general,
             std::uint8_t hop_limit = 1) {
    if (six()) {
      const wire::GroupQuery<Ipv6Address> message{.version = version,
                                                  .max_response_code = code,
                                                  .group = general ? Ipv6Address() : kGroup6};
      receive6(message, hop_limit);
    } else {
      const wire::GroupQuery<Ipv4Address> message{.version = version,
                                                  .max_response_code = code,
                                                  .group = general ? Ipv4Address() : kGroup4};
      receive4(message, hop_limit);
    }
  }
  template <typename Message>
  void receive4(const Message& message, std::uint8_t ttl = 1) {
    ByteVector bytes(64);
    bytes.resize(wire::emit(message, bytes));
    wire::view_as<wire::be16>(wire::MutableBytes(bytes).subspan(2)) =
        wire::be16(wire::checksum(bytes));
    host->receive(ipv4({.ttl = ttl,
                        .protocol = wire::kProtocolIgmp,
                        .source = kPeer4,
                        .destination = Ipv4Address(224, 0, 0, 1)},
                       bytes));
  }
  template <typename Message>
  void receive6(const Message& message, std::uint8_t hop_limit = 1) {
    ByteVector bytes(64);
    bytes.resize(wire::emit(message, bytes));
    fill_icmpv6_checksum(bytes, kRouter, wire::kIpv6AllNodes);
    ByteVector alert(8);
    wire::emit_router_alert(wire::kProtocolIcmpv6, 0, alert);
    host->receive(ipv6({.next_header = wire::kProtocolHopByHop,
                        .hop_limit = hop_limit,
                        .source = kRouter,
                        .destination = wire::kIpv6AllNodes},
                       alert + bytes));
  }
  // What has been said since the last time: the types, of records or of messages of old versions.
  std::vector<unsigned> said() {
    std::vector<unsigned> types;
    for (const ByteVector& frame : host->sent) {
      const std::size_t message = six() ? 14 + 40 + 8 : 14 + 24;
      const auto layout = wire::parse_layout(frame);
      EXPECT_TRUE(layout.has_value());
      EXPECT_EQ(layout->l4, message);
      EXPECT_EQ(std::to_integer<int>(frame.at(six() ? 21 : 22)), 1);  // the hop limit
      const auto type = std::to_integer<unsigned>(frame.at(message));
      const bool records = type == 0x22 || type == wire::kMldReportVersion2;
      types.push_back(records ? std::to_integer<unsigned>(frame.at(message + 8)) : type);
    }
    host->sent.clear();
    return types;
  }
  std::uint16_t ten_seconds() const { return six() ? 10000 : 100; }
  unsigned old_report() const { return six() ? 131 : 0x16; }
  unsigned old_leave() const { return six() ? 132 : 0x17; }

  std::unique_ptr<TestHost> host = [] {
    auto made = TestHost::configured(kReporting);
    made->advance(std::chrono::seconds(10));
    made->sent.clear();
    return made;
  }();
};

using Types = std::vector<unsigned>;

TEST_P(Reports, JoinAndLeave_AreSaidTwice) {
  ASSERT_TRUE(host->stack.join(group(), host->now));
  EXPECT_EQ(said(), Types{4});
  host->advance(std::chrono::seconds(1));
  EXPECT_EQ(said(), Types{4});
  ASSERT_TRUE(host->stack.join(group(), host->now));  // a second user
  host->stack.leave(group(), host->now);
  host->advance(std::chrono::minutes(10));
  EXPECT_EQ(said(), Types{});
  host->stack.leave(group(), host->now);
  EXPECT_EQ(said(), Types{3});
  host->advance(std::chrono::seconds(1));
  EXPECT_EQ(said(), Types{3});
  host->stack.leave(group(), host->now);  // nobody is in it any more
  EXPECT_EQ(said(), Types{});
}

TEST_P(Reports, RcvQuery_GeneralOrForTheGroup_IsAnsweredInTime) {
  ASSERT_TRUE(host->stack.join(group(), host->now));
  host->advance(std::chrono::seconds(2));
  host->sent.clear();
  for (const bool general : {true, false}) {
    query(wire::GroupVersion::kRecords, ten_seconds(), general);
    query(wire::GroupVersion::kRecords, ten_seconds(), general);  // one answer is enough
    host->advance(std::chrono::seconds(10));
    EXPECT_EQ(said(), Types{2});
  }
  host->stack.leave(group(), host->now);
  host->advance(std::chrono::seconds(2));
  host->sent.clear();
  query(wire::GroupVersion::kRecords, ten_seconds(), false);
  host->advance(std::chrono::seconds(10));
  EXPECT_EQ(said(), Types{});
}

TEST_P(Reports, RcvQuery_OfAnOldRouter_IsAnsweredInItsLanguage) {
  query(wire::GroupVersion::kLeaves, ten_seconds(), true);
  host->advance(std::chrono::seconds(10));
  host->sent.clear();  // of the solicited-node group
  ASSERT_TRUE(host->stack.join(group(), host->now));
  EXPECT_EQ(said(), Types{old_report()});
  host->advance(std::chrono::seconds(10));
  EXPECT_EQ(said(), Types{old_report()});
  host->stack.leave(group(), host->now);
  EXPECT_EQ(said(), Types{old_leave()});
  host->advance(std::chrono::seconds(260));
  host->sent.clear();
  ASSERT_TRUE(host->stack.join(group(), host->now));
  EXPECT_EQ(said(), Types{4});  // the old router has not been heard for long
}

TEST_P(Reports, RcvReport_OfAnotherMember_SparesUsOurs) {
  query(wire::GroupVersion::kLeaves, ten_seconds(), true);
  ASSERT_TRUE(host->stack.join(group(), host->now));
  host->advance(std::chrono::seconds(20));
  host->sent.clear();
  query(wire::GroupVersion::kLeaves, ten_seconds(), false);
  if (six()) {
    receive6(wire::GroupReport<Ipv6Address>{.group = kGroup6});
  } else {
    receive4(wire::GroupReport<Ipv4Address>{.group = kGroup4});
  }
  host->advance(std::chrono::seconds(10));
  EXPECT_EQ(said(), Types{});
}

TEST_P(Reports, RcvQuery_FromAfar_IsDropped) {
  query(wire::GroupVersion::kRecords, ten_seconds(), true, 64);
  EXPECT_EQ(host->drops(Discard::kGroupMessageFromAfar), 1U);
  host->advance(std::chrono::seconds(10));
  EXPECT_EQ(said(), Types{});
}

TEST_P(Reports, TooManyGroups_AreRefused) {
  int joined = 0;
  for (std::uint32_t i = 0; i < 1000; ++i) {
    const Ipv6Address each = six() ? Ipv6Address(0xff05000000000000, i)
                                   : Ipv6Address::mapped(Ipv4Address(0xef000000 + i));
    if (host->stack.join(each, host->now)) ++joined;
  }
  EXPECT_LE(joined, 256);
  EXPECT_GE(joined, 250);
  EXPECT_FALSE(host->stack.join(six() ? kPeer6 : Ipv6Address::mapped(kPeer4), host->now));
  host->advance(std::chrono::seconds(2));
  host->sent.clear();
  query(wire::GroupVersion::kRecords, ten_seconds(), true);
  host->advance(std::chrono::seconds(10));
  EXPECT_EQ(host->sent.size(), 5U);  // 56 groups in each
  for (const ByteVector& frame : host->sent) EXPECT_LE(frame.size(), 14U + 1280);
}

INSTANTIATE_TEST_SUITE_P(Versions, Reports, ::testing::Bool(),
                         [](const auto& param_info) { return param_info.param ? "Mld" : "Igmp"; });

TEST(SolicitedNodeGroup, IsReportedWithItsAddress) {
  TestHost host(kReporting);
  ASSERT_TRUE(host.stack.add_address(wire::Ipv6Prefix{kOurs6, 64}, host.now));
  ASSERT_FALSE(host.sent.empty());
  const ByteVector frame = host.next_sent();
  EXPECT_EQ(cut(behind(frame, 14 + 40 + 8), 1), wire::from_hex("8f"));
  const Ipv6Address address = kOurs6.solicited_node();
  const auto group = std::as_bytes(std::span(address.bytes()));
  EXPECT_EQ(cut(behind(frame, 14 + 40 + 8 + 12), 16), ByteVector(group.begin(), group.end()));
  host.advance(std::chrono::seconds(2));
}

// RFC 4862 §5.4.2: told at random in the first second, before the address is tested; heard at once.
TEST(SolicitedNodeGroup, OfAnAddressUnderTest_IsReportedWithTheTest) {
  TestHost host({.mac = kOurMac});
  ASSERT_TRUE(host.stack.add_address(wire::Ipv6Prefix{kOurs6, 64}, host.now));
  EXPECT_TRUE(host.sent.empty());
  EXPECT_TRUE(host.stack.addresses().is_member(kOurs6.solicited_node()));
  const Instant start = host.now;
  while (host.sent.empty()) {
    ASSERT_LT(host.now, start + std::chrono::seconds(1));
    host.advance(std::chrono::milliseconds(1));
  }
  EXPECT_GT(host.now, start + std::chrono::milliseconds(1));
  ASSERT_EQ(host.sent.size(), 2U);
  EXPECT_EQ(cut(behind(host.next_sent(), 14 + 40 + 8), 1), wire::from_hex("8f"));
  EXPECT_EQ(cut(behind(host.next_sent(), 14 + 40), 1), wire::from_hex("87"));
  host.advance(std::chrono::seconds(5));
  EXPECT_EQ(host.pool->in_use(), 0U);
}

}  // namespace
}  // namespace tideline::ip
