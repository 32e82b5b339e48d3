// SPDX-License-Identifier: Apache-2.0
// Groups: who hears a datagram to many.
#include <gtest/gtest.h>

#include "ip/test_host.h"

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
  ASSERT_TRUE(udp_of_host().bind({.port = kPort}, first, true));
  ASSERT_TRUE(udp_of_host().bind({.port = kPort}, second, true));
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
  ASSERT_TRUE(udp_of_host().bind({.port = kPort}, first, true));
  ASSERT_TRUE(udp_of_host().bind({.port = kPort}, second, true));
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
  ASSERT_TRUE(udp_of_host().bind({.port = kPort}, first, true));
  EXPECT_FALSE(udp_of_host().bind({.port = kPort}, second));
  udp_of_host().unbind({.port = kPort});
  ASSERT_TRUE(udp_of_host().bind({.port = kPort}, first));
  EXPECT_FALSE(udp_of_host().bind({.port = kPort}, second, true));
}

TEST_F(GroupDelivery, RcvUdp_ToAGroup_OnlyMembersHearIt) {
  ASSERT_TRUE(udp_of_host().bind({.port = kPort}, first));
  host->receive(datagram_to(kGroup4, pattern(5, 1)));
  EXPECT_EQ(host->drops(Discard::kNotOurs), 1U);
  host->stack.addresses().join(kGroup4);
  host->receive(datagram_to(kGroup4, pattern(5, 1)));
  EXPECT_EQ(first.heard.size(), 1U);
  EXPECT_EQ(first.destination.address, Ipv6Address::mapped(kGroup4));
  host->stack.addresses().leave(kGroup4);
  host->receive(datagram_to(kGroup4, pattern(5, 1)));
  EXPECT_EQ(host->drops(Discard::kNotOurs), 2U);
}

}  // namespace
}  // namespace tideline::ip
