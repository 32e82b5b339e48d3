// SPDX-License-Identifier: Apache-2.0
// What leaves a host, and what never does: destinations that no wire knows (RFC 1122 §3.2.1.3,
// RFC 4291 §2.5), the flow labels of IPv6 (RFC 6437).
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "ip/test_host.h"

namespace tideline::ip {
namespace {

class Departures : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(host->pool->in_use(), 0U); }

  Sent send(const Ipv6Address& to, std::uint16_t from_port = 1000, std::size_t size = 8) {
    const Ipv6Address from = to.is_mapped() ? Ipv6Address::mapped(kOurs4) : kOurs6;
    return host->stack.udp().send(
        host->packet_of(pattern(size, 1)),
        {.source = {.address = from, .port = from_port}, .destination = {.address = to, .port = 5}},
        host->now);
  }
  // The label of the next frame that was sent.
  std::uint32_t next_label() {
    const ByteVector frame = host->next_sent();
    return wire::view_as<wire::be32>(wire::Bytes(frame).subspan(14)).value() & 0xfffff;
  }

  std::unique_ptr<TestHost> host = TestHost::acquainted();
};

TEST_F(Departures, ToWhatIsNeverOnAWire_AreRefused) {
  const std::vector<Ipv6Address> never = {Ipv6Address(),
                                          Ipv6Address(0, 1),
                                          Ipv6Address::mapped(Ipv4Address()),
                                          Ipv6Address::mapped(Ipv4Address(0, 1, 2, 3)),
                                          Ipv6Address::mapped(Ipv4Address(127, 0, 0, 1)),
                                          Ipv6Address::mapped(Ipv4Address(127, 255, 255, 255))};
  for (const Ipv6Address& each : never) {
    const std::uint64_t before = host->drops(Discard::kDestinationNever);
    EXPECT_EQ(send(each), std::unexpected(Discard::kDestinationNever)) << each.to_text();
    EXPECT_EQ(host->stack.ping(host->packet_of({}), each, 7, 1, host->now),
              std::unexpected(Discard::kDestinationNever));
    EXPECT_EQ(host->drops(Discard::kDestinationNever), before + 2);
    EXPECT_EQ(host->stack.source_for(each), std::nullopt);
  }
  EXPECT_TRUE(host->sent.empty());
  EXPECT_TRUE(send(Ipv6Address::mapped(Ipv4Address(128, 0, 0, 1))));
  EXPECT_TRUE(send(Ipv6Address(0, 0x100000000)));  // of no such range, and by the default route
  EXPECT_EQ(host->sent.size(), 2U);
}

TEST_F(Departures, FlowLabels_OneForEachFlow) {
  std::vector<std::uint32_t> labels;
  for (const std::uint16_t port : std::array<std::uint16_t, 3>{1000, 1001, 1000}) {
    ASSERT_TRUE(send(kPeer6, port));
    labels.push_back(next_label());
  }
  EXPECT_NE(labels[0], 0U);
  EXPECT_NE(labels[0], labels[1]);
  EXPECT_EQ(labels[0], labels[2]);
  // Nobody can tell it beforehand.
  Rng rng(1);
  FlowLabels theirs(rng);
  EXPECT_NE(theirs.label_of(kOurs6, kPeer6, wire::kProtocolUdp, 1000U << 16 | 5), labels[0]);
}

// As many as are remembered, and more: each flow keeps its own.
TEST_F(Departures, FlowLabels_OfManyFlows) {
  Rng rng(1);
  FlowLabels labels(rng);
  std::vector<std::uint32_t> first;
  for (int round = 0; round < 2; ++round) {
    for (std::uint32_t ports = 0; ports < 1000; ++ports) {
      const std::uint32_t label = labels.label_of(kOurs6, kPeer6, wire::kProtocolTcp, ports);
      EXPECT_NE(label, 0U);
      EXPECT_LE(label, 0xfffffU);
      if (round == 0) {
        first.push_back(label);
      } else {
        EXPECT_EQ(label, first[ports]);
      }
    }
  }
  EXPECT_NE(labels.label_of(kPeer6, kOurs6, wire::kProtocolTcp, 1), first[1]);
  EXPECT_NE(labels.label_of(kOurs6, kPeer6, wire::kProtocolUdp, 1), first[1]);
  std::ranges::sort(first);
  EXPECT_GT(std::distance(first.begin(), std::ranges::unique(first).begin()), 990);
}

TEST_F(Departures, FlowLabels_FragmentsHaveTheirDatagrams) {
  ASSERT_TRUE(send(kPeer6, 1000, 4000));
  ASSERT_EQ(host->sent.size(), 3U);
  const std::uint32_t label = next_label();
  EXPECT_NE(label, 0U);
  EXPECT_EQ(next_label(), label);
  EXPECT_EQ(next_label(), label);
}

TEST_F(Departures, FlowLabels_NoneWithoutPorts) {
  ASSERT_TRUE(host->stack.ping(host->packet_of(pattern(8, 1)), kPeer6, 7, 1, host->now));
  EXPECT_EQ(next_label(), 0U);
}

}  // namespace
}  // namespace tideline::ip
