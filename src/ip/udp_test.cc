// SPDX-License-Identifier: Apache-2.0
// UDP segmentation offload: many datagrams behind one header, out and in, over both IP versions.
#include "ip/udp.h"

#include <gtest/gtest.h>

#include <tuple>
#include <vector>

#include "ip/test_host.h"

namespace tideline::ip {
namespace {

using packet::Checksum;
using packet::Gso;
using packet::Offload;

class OffloadListener final : public UdpHandler {
 public:
  void receive(packet::PacketPtr payload, const UdpPath& /*path*/, Instant /*now*/) override {
    received.emplace_back(payload->meta().offload, contents(*payload));
  }
  void failed(const PathError& /*error*/, Instant /*now*/) override {}

  std::vector<std::pair<Offload, ByteVector>> received;
};

class UdpSegmentation : public ::testing::TestWithParam<bool> {
 protected:
  bool six() const { return GetParam(); }
  std::size_t ip_header() const {
    return six() ? sizeof(wire::Ipv6Header) : sizeof(wire::Ipv4Header);
  }
  // The longest datagram of the test link, whose MTU is 1500.
  std::size_t fitting() const { return 1500 - ip_header() - sizeof(wire::UdpHeader); }

  Sent send(std::size_t size, std::size_t gso_size) {
    packet::PacketPtr payload = host->packet_of(pattern(size, 1));
    payload->meta().offload = {.gso = Gso::kUdp, .gso_size = static_cast<std::uint16_t>(gso_size)};
    const Ipv6Address ours = six() ? kOurs6 : Ipv6Address::mapped(kOurs4);
    const Ipv6Address peer = six() ? kPeer6 : Ipv6Address::mapped(kPeer4);
    return host->stack.udp().send(
        std::move(payload),
        {.source = {.address = ours, .port = 5000}, .destination = {.address = peer, .port = 9}},
        host->now);
  }

  // A frame of `size` bytes of payload for port 9, as a port hands it up.
  void receive(std::size_t size, const Offload& offload, bool intact = true) {
    ByteVector message = udp({.source_port = 7, .destination_port = 9}, pattern(size, 2), six());
    if (!intact) message.back() ^= std::byte{1};
    packet::PacketPtr frame = host->packet_of(six() ? ipv6(wire::kProtocolUdp, message)
                                                    : ipv4(wire::kProtocolUdp, message));
    frame->meta().offload = offload;
    host->stack.receive(std::move(frame), host->now);
  }

  std::unique_ptr<TestHost> host = TestHost::acquainted();
  OffloadListener listener;
};

TEST_P(UdpSegmentation, ManyDatagramsLeaveBehindOneHeader) {
  const std::size_t payload = 44 * fitting() - 100;
  ASSERT_TRUE(send(payload, fitting()));
  const Offload& offload = host->offload;
  const std::size_t l4 = sizeof(wire::EthernetHeader) + ip_header();
  EXPECT_EQ(offload.gso, Gso::kUdp);
  EXPECT_EQ(offload.gso_size, fitting());
  EXPECT_EQ(offload.header_length, l4 + sizeof(wire::UdpHeader));
  EXPECT_EQ(offload.checksum, Checksum::kNeeded);
  EXPECT_EQ(offload.checksum_start, l4);
  const ByteVector frame = host->next_sent();
  const auto layout = wire::parse_layout(frame);
  ASSERT_TRUE(layout.has_value());
  EXPECT_EQ(layout->payload_size(), payload);  // lengths speak of the whole
  EXPECT_FALSE(layout->is_fragment());
  EXPECT_TRUE(host->sent.empty());
}

TEST_P(UdpSegmentation, WhatIsOneDatagramLeavesAsOne) {
  ASSERT_TRUE(send(1000, 1000));
  EXPECT_EQ(host->offload.gso, Gso::kNone);
  ASSERT_TRUE(send(3000, 3000));
  EXPECT_EQ(host->sent.size(), 1U + 3U);  // and is fragmented like any other
}

TEST_P(UdpSegmentation, DatagramsThatExceedThePathAreRefused) {
  const Sent sent = send(10 * fitting(), fitting() + 1);
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error(), Discard::kTooBig);
  EXPECT_TRUE(host->sent.empty());
}

TEST_P(UdpSegmentation, ReceivedTheyComeUpTogether) {
  ASSERT_TRUE(host->stack.udp().bind({.port = 9}, listener));
  for (const Checksum checksum : {Checksum::kNeeded, Checksum::kValid, Checksum::kInPacket}) {
    receive(4100, {.checksum = checksum, .gso = Gso::kUdp, .gso_size = 1000});
  }
  ASSERT_EQ(listener.received.size(), 3U);
  for (const auto& [offload, payload] : listener.received) {
    EXPECT_EQ(offload.gso, Gso::kUdp);
    EXPECT_EQ(offload.gso_size, 1000);
    EXPECT_TRUE(payload == pattern(4100, 2));
  }
}

// What was never on a wire is taken as it is; what may have been is summed.
TEST_P(UdpSegmentation, SpoiltFramesAreSeenWhereTheyCanBe) {
  ASSERT_TRUE(host->stack.udp().bind({.port = 9}, listener));
  receive(4100, {.gso = Gso::kUdp, .gso_size = 1000}, false);
  EXPECT_TRUE(listener.received.empty());
  EXPECT_EQ(host->drops(wire::DropReason::kUdpChecksum), 1U);
}

TEST_P(UdpSegmentation, MetadataThatMakesNoSenseIsNotHandedUp) {
  ASSERT_TRUE(host->stack.udp().bind({.port = 9}, listener));
  receive(500, {.gso = Gso::kUdp, .gso_size = 0});
  receive(500, {.gso = Gso::kUdp, .gso_size = 500});
  receive(500, {.gso = Gso::kTcpV4, .gso_size = 100});
  ASSERT_EQ(listener.received.size(), 3U);
  for (const auto& [offload, payload] : listener.received) {
    EXPECT_EQ(offload.gso, Gso::kNone);
    EXPECT_EQ(payload.size(), 500U);
  }
}

INSTANTIATE_TEST_SUITE_P(Versions, UdpSegmentation, ::testing::Bool(),
                         [](const auto& version) { return version.param ? "Ipv6" : "Ipv4"; });

class Tunnel final : public ProtocolHandler {
 public:
  void receive(packet::PacketPtr packet, const Datagram& datagram, Instant /*now*/) override {
    payloads.push_back(behind(contents(*packet), datagram.layout.payload));
  }
  bool recognises(const PathError& error) const override {
    return error.quote.destination_port() == 4791;
  }
  void failed(const PathError& /*error*/, Instant /*now*/) override { ++errors; }

  std::vector<ByteVector> payloads;
  int errors = 0;
};

TEST(UdpTunnel, RcvUdp_GetsItsDatagramsWholeAndUnchecked) {
  const auto host = TestHost::acquainted();
  Tunnel tunnel;
  host->stack.udp().set_tunnel(4791, &tunnel);
  const wire::Udp header{.source_port = 1, .destination_port = 4791};
  host->receive(ipv6(wire::kProtocolUdp, udp(header, pattern(5, 1), true, false)));
  host->receive(ipv4(wire::kProtocolUdp, with(udp(header, pattern(6, 2), false), 6, {0xde, 0xad})));
  ASSERT_EQ(tunnel.payloads.size(), 2U);
  EXPECT_EQ(tunnel.payloads[0], pattern(5, 1));
  EXPECT_EQ(tunnel.payloads[1], pattern(6, 2));
  // Others are checked as ever.
  host->receive(ipv6(wire::kProtocolUdp, udp({.source_port = 1, .destination_port = 4792},
                                             pattern(5, 1), true, false)));
  EXPECT_EQ(host->drops(wire::DropReason::kUdpChecksumMissing), 1U);

  host->stack.udp().set_tunnel(4791, nullptr);
  host->receive(ipv4(wire::kProtocolUdp, udp(header, pattern(5, 1), false)));
  EXPECT_EQ(tunnel.payloads.size(), 2U);
  EXPECT_EQ(host->drops(Discard::kUdpPortClosed), 1U);
}

}  // namespace
}  // namespace tideline::ip
