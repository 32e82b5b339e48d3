// SPDX-License-Identifier: Apache-2.0
// Datagrams to ourselves, and hosts in a VLAN.
#include <gtest/gtest.h>

#include "ip/test_host.h"

namespace tideline::ip {
namespace {

constexpr std::uint16_t kLocalPort = 1000;
constexpr std::uint16_t kVlan = 100;

class Loopback : public ::testing::TestWithParam<bool>, public EchoHandler, public UdpHandler {
 protected:
  void SetUp() override {
    ASSERT_TRUE(host->stack.open_echo(7, *this));
    ASSERT_TRUE(host->stack.udp().bind({.port = kLocalPort}, *this));
  }
  void TearDown() override { expect_healthy(*host); }

  void echo_replied(EchoReply reply, Instant /*now*/) override {
    replies.push_back(contents(*reply.data));
  }
  void echo_failed(const PathError& /*error*/, Instant /*now*/) override {}
  // Sends all back, to itself.
  void receive(packet::PacketPtr payload, const UdpPath& path, Instant now) override {
    datagrams.push_back(contents(*payload));
    if (returns) {
      (void)host->stack.udp().send(std::move(payload),
                                   {.source = path.destination, .destination = path.source}, now);
    }
  }
  void failed(const PathError& error, Instant /*now*/) override { failures.push_back(error.kind); }

  Ipv6Address ours() const { return GetParam() ? kOurs6 : Ipv6Address::mapped(kOurs4); }
  Sent send(const ByteVector& data, std::uint16_t to) {
    return host->stack.udp().send(host->packet_of(data),
                                  {.source = {.address = ours(), .port = kLocalPort},
                                   .destination = {.address = ours(), .port = to}},
                                  host->now);
  }

  std::unique_ptr<TestHost> host = TestHost::acquainted();
  std::vector<ByteVector> replies;
  std::vector<ByteVector> datagrams;
  std::vector<PathErrorKind> failures;
  bool returns = false;
};

TEST_P(Loopback, SndEcho_ToOurselves_ReturnsWithoutAFrame) {
  for (const std::size_t size : {0U, 56U, 20000U}) {
    const ByteVector data = pattern(size, 1);
    ASSERT_TRUE(host->stack.ping(host->packet_of(data), ours(), 7, 1, host->now));
    EXPECT_EQ(host->stack.next_deadline(), host->now);
    host->advance({});
    ASSERT_FALSE(replies.empty());
    EXPECT_TRUE(replies.back() == data);
  }
  EXPECT_EQ(replies.size(), 3U);
  EXPECT_TRUE(host->sent.empty());
  EXPECT_EQ(total_drops(host->stack.drops()), 0U);
}

TEST_P(Loopback, SndUdp_ToOurselves_ArrivesOrIsReported) {
  ASSERT_TRUE(send(pattern(100, 1), kLocalPort));
  ASSERT_TRUE(send(pattern(100, 1), kLocalPort + 1));  // nobody is there
  EXPECT_TRUE(datagrams.empty());                      // not from within
  host->advance({});
  EXPECT_EQ(datagrams, std::vector<ByteVector>(1, pattern(100, 1)));
  EXPECT_EQ(failures, std::vector{PathErrorKind::kPortUnreachable});
  EXPECT_TRUE(host->sent.empty());
}

TEST_P(Loopback, SndUdp_AnsweredForEver_DoesNotKeepUsThere) {
  returns = true;
  ASSERT_TRUE(send(pattern(10, 1), kLocalPort));
  for (std::size_t runs = 1; runs <= 100; ++runs) {
    host->stack.run_timers(host->now);
    EXPECT_EQ(datagrams.size(), runs);
  }
  returns = false;
  host->advance({});
}

TEST_P(Loopback, SndUdp_TooMany_AreRefused) {
  for (std::size_t i = 0; i < LoopbackQueue::kCapacity; ++i) {
    ASSERT_TRUE(send(pattern(1, 1), kLocalPort));
  }
  const Sent refused = send(pattern(1, 1), kLocalPort);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), Discard::kLoopbackFull);
  host->advance({});
  EXPECT_EQ(datagrams.size(), LoopbackQueue::kCapacity);
}

INSTANTIATE_TEST_SUITE_P(Versions, Loopback, ::testing::Bool(),
                         [](const auto& param_info) { return param_info.param ? "Ipv6" : "Ipv4"; });

// --- VLAN ---

ByteVector tagged(const ByteVector& frame, unsigned tci) {
  return cut(frame, 12) + wire::with(wire::from_hex("81000000"), 2, {tci >> 8, tci & 0xff}) +
         behind(frame, 12);
}

TEST(Vlan, HostInsideOne_SpeaksAndHearsItsTagOnly) {
  StackOptions options = kTestStack;
  options.vlan = kVlan;
  const auto host = TestHost::configured(options);
  const ByteVector question =
      arp({.sender_mac = kPeerMac, .sender_ip = kPeer4, .target_ip = kOurs4});
  const ByteVector echo =
      ipv4(wire::kProtocolIcmp, icmp({.type = wire::IcmpType::kEchoRequest}, pattern(56, 1)));
  for (const ByteVector& frame : {question, echo}) {
    host->receive(frame);                     // untagged
    host->receive(tagged(frame, kVlan + 1));  // another's
    host->receive(tagged(tagged(frame, kVlan), kVlan));
    EXPECT_TRUE(host->sent.empty());
    host->receive(tagged(frame, 0x6000 | kVlan));  // with a priority
    ASSERT_EQ(host->sent.size(), 1U);
    const ByteVector reply = host->next_sent();
    EXPECT_EQ(cut(behind(reply, 12), 4), wire::from_hex("81000064"));
    EXPECT_EQ(cut(behind(reply, 16), 2), cut(behind(frame, 12), 2));
  }
  EXPECT_EQ(host->drops(Discard::kVlanOther), 6U);
  EXPECT_EQ(host->pool->in_use(), 0U);
}

// Of what is wrong with another's packets nothing is told.
TEST(Vlan, HostInsideOne_ReportsNothingOfAnother) {
  StackOptions options = kTestStack;
  options.vlan = kVlan;
  const auto host = TestHost::configured(options);
  host->receive(
      tagged(arp({.sender_mac = kPeerMac, .sender_ip = kPeer4, .target_ip = kOurs4}), kVlan));
  host->receive(tagged(
      ndp(wire::NeighbourSolicitation{.target = kOurs6, .source_mac = kPeerMac}, kPeer6, kOurs6),
      kVlan));
  host->sent.clear();
  wire::Ipv4 header{.protocol = wire::kProtocolIcmp, .source = kPeer4, .destination = kOurs4};
  for (const unsigned byte : {7U, 0U, 4U, 0U}) {
    header.options.bytes[header.options.size++] = static_cast<std::byte>(byte);
  }
  const ByteVector four = ipv4(header, pattern(8, 1));
  const ByteVector six = ipv6(wire::kProtocolDestinationOptions,
                              wire::from_hex("3a 00 9e 04 00 00 00 00") + pattern(8, 1));
  for (const ByteVector& frame : {four, six}) {
    host->receive(frame);
    host->receive(tagged(frame, kVlan + 1));
    EXPECT_TRUE(host->sent.empty());
    host->receive(tagged(frame, kVlan));
    EXPECT_EQ(host->sent.size(), 1U);
    host->sent.clear();
  }
  EXPECT_EQ(host->pool->in_use(), 0U);
}

TEST(Vlan, FragmentsInsideOne_AreOneDatagram) {
  StackOptions options = kTestStack;
  options.vlan = kVlan;
  const auto host = TestHost::configured(options);
  host->receive(
      tagged(arp({.sender_mac = kPeerMac, .sender_ip = kPeer4, .target_ip = kOurs4}), kVlan));
  host->sent.clear();
  const ByteVector message = icmp({.type = wire::IcmpType::kEchoRequest}, pattern(2000, 1));
  for (const bool last : {false, true}) {
    host->receive(tagged(ipv4({.identification = 5,
                               .more_fragments = !last,
                               .fragment_offset = static_cast<std::uint16_t>(last ? 1024 : 0),
                               .protocol = wire::kProtocolIcmp,
                               .source = kPeer4,
                               .destination = kOurs4},
                              last ? behind(message, 1024) : cut(message, 1024)),
                         kVlan));
  }
  ASSERT_EQ(host->sent.size(), 2U);
  for (const ByteVector& frame : host->sent) {
    EXPECT_EQ(cut(behind(frame, 12), 4), wire::from_hex("81000064"));
    EXPECT_LE(frame.size(), 1518U);
  }
}

}  // namespace
}  // namespace tideline::ip
