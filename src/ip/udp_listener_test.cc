// SPDX-License-Identifier: Apache-2.0
// Which of several listeners of one port gets a datagram, and hears of errors: RFC 1122 §4.1.3.5.
#include <gtest/gtest.h>

#include "ip/test_host.h"

namespace tideline::ip {
namespace {

class CountingListener final : public UdpHandler {
 public:
  void receive(packet::PacketPtr /*payload*/, const UdpPath& /*path*/, Instant /*now*/) override {
    ++received;
  }
  void failed(const PathError& /*error*/, Instant /*now*/) override { ++failures; }

  int received = 0;
  int failures = 0;
};

class UdpListeners : public ::testing::Test {
 protected:
  static constexpr std::uint16_t kOurPort = 1000;
  static constexpr Ipv6Address kAnyIpv4 = Ipv6Address::mapped(Ipv4Address());

  void TearDown() override { expect_healthy(*host); }

  void bind(const Ipv6Address& address, CountingListener& listener) {
    ASSERT_TRUE(host->stack.udp().bind({.address = address, .port = kOurPort}, listener));
  }
  void unbind(const Ipv6Address& address) {
    host->stack.udp().unbind({.address = address, .port = kOurPort});
  }
  void receive(bool six) {
    const ByteVector message =
        udp({.source_port = 1, .destination_port = kOurPort}, pattern(5, 1), six);
    host->receive(six ? ipv6(wire::kProtocolUdp, message) : ipv4(wire::kProtocolUdp, message));
  }
  // Something that we have sent from the port met a closed one.
  void receive_error(bool six) {
    const ByteVector message =
        udp({.source_port = kOurPort, .destination_port = 5}, pattern(5, 1), six, false);
    ByteVector header(six ? sizeof(wire::Ipv6Header) : sizeof(wire::Ipv4Header));
    if (six) {
      wire::emit(wire::Ipv6{.payload_length = 13,
                            .next_header = wire::kProtocolUdp,
                            .source = kOurs6,
                            .destination = kPeer6},
                 header);
      host->receive(ipv6(wire::kProtocolIcmpv6, icmpv6({.type = wire::Icmpv6Type::kUnreachable,
                                                        .code = wire::kIcmpv6PortUnreachable},
                                                       header + message)));
    } else {
      wire::emit(wire::Ipv4{.total_length = 33,
                            .protocol = wire::kProtocolUdp,
                            .source = kOurs4,
                            .destination = kPeer4},
                 header);
      host->receive(ipv4(wire::kProtocolIcmp, icmp({.type = wire::IcmpType::kUnreachable,
                                                    .code = wire::kIcmpPortUnreachable},
                                                   header + message)));
    }
  }

  std::unique_ptr<TestHost> host = TestHost::acquainted();
  CountingListener exact;      // on the address
  CountingListener version;    // on any of IPv4
  CountingListener all;        // on any of both versions
  CountingListener elsewhere;  // on another address of ours
};

TEST_F(UdpListeners, RcvUdp_SeveralListen_TheMostSpecificGetsIt) {
  const Ipv4Address another(192, 0, 2, 9);
  ASSERT_TRUE(host->stack.add_address(wire::Ipv4Prefix{another, 24}, host->now));
  host->sent.clear();
  const Ipv6Address ours = Ipv6Address::mapped(kOurs4);
  // In either order.
  for (const bool specific_first : {true, false}) {
    exact = version = all = elsewhere = {};
    if (specific_first) bind(ours, exact);
    bind(Ipv6Address(), all);
    bind(kAnyIpv4, version);
    bind(Ipv6Address::mapped(another), elsewhere);
    if (!specific_first) bind(ours, exact);
    receive(false);
    receive_error(false);
    EXPECT_EQ(exact.received, 1);
    EXPECT_EQ(exact.failures, 1);
    unbind(ours);
    receive(false);
    receive_error(false);
    EXPECT_EQ(version.received, 1);
    EXPECT_EQ(version.failures, 1);
    unbind(kAnyIpv4);
    receive(false);
    receive_error(false);
    EXPECT_EQ(all.received, 1);
    EXPECT_EQ(all.failures, 1);
    EXPECT_EQ(exact.received + version.received, 2);
    EXPECT_EQ(elsewhere.received + elsewhere.failures, 0);
    unbind(Ipv6Address());
    unbind(Ipv6Address::mapped(another));
  }
}

TEST_F(UdpListeners, RcvUdp_OverIpv6_AnyOfIpv4IsNoListener) {
  bind(kOurs6, exact);
  bind(kAnyIpv4, version);
  bind(Ipv6Address(), all);
  receive(true);
  receive_error(true);
  EXPECT_EQ(exact.received, 1);
  EXPECT_EQ(exact.failures, 1);
  unbind(kOurs6);
  receive(true);
  receive_error(true);
  EXPECT_EQ(all.received, 1);
  EXPECT_EQ(all.failures, 1);
  unbind(Ipv6Address());
  receive(true);
  EXPECT_EQ(version.received + version.failures, 0);
  EXPECT_EQ(host->drops(Discard::kUdpPortClosed), 1U);
}

}  // namespace
}  // namespace tideline::ip
