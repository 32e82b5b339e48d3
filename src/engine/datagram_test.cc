// SPDX-License-Identifier: Apache-2.0
// Datagram sockets in both placements: the addresses and ports that the stack chooses for them, and
// which of ICMP's errors each of them hears of.
#include <gtest/gtest.h>
#include <poll.h>

#include <cstdlib>
#include <set>

#include "engine/socket_values.h"
#include "engine/test_programs.h"
#include "ip/test_host.h"

namespace tideline::engine {
namespace {

using client::Endpoint;
using client::Failure;
using client::Sharing;
using client::Socket;
using client::SocketType;
using ip::operator+;
using test::kLeft;
using test::kRight;

// What an ICMP message of either version says.
struct Saying {
  unsigned type;
  unsigned code;
};

class DatagramsTest : public test::TwoPrograms {
 protected:
  // On the left, about a datagram that went from its `source_port`.
  void hear_error(const Saying& saying, std::uint16_t source_port, const Endpoint& to) {
    const ip::ByteVector frame =
        to.address.is_mapped() ? error4(saying, source_port, to) : error6(saying, source_port, to);
    ASSERT_TRUE(left_.look([&](Worker& worker) {
      packet::PassCounter passes;
      worker.host()->stack().receive(packet::copy_of(frame, worker.pool(), passes),
                                     monotonic_now());
    }));
  }
  static ip::ByteVector error4(const Saying& saying, std::uint16_t source_port,
                               const Endpoint& to) {
    ip::ByteVector quote(sizeof(wire::Ipv4Header));
    wire::emit(wire::Ipv4{.total_length = 100,
                          .protocol = wire::kProtocolUdp,
                          .source = test::kLeft4.mapped_ipv4(),
                          .destination = to.address.mapped_ipv4()},
               quote);
    const ip::ByteVector transport = ip::udp(
        {.source_port = source_port, .destination_port = to.port}, ip::pattern(8, 1), false, false);
    ip::ByteVector message =
        ip::with(ip::icmp({}, quote + transport), 0, {saying.type, saying.code, 0, 0});
    wire::view_as<wire::IcmpHeader>(wire::MutableBytes(message)).checksum =
        wire::be16(wire::checksum(message));
    return ip::ipv4({.protocol = wire::kProtocolIcmp,
                     .source = test::kRight4.mapped_ipv4(),
                     .destination = test::kLeft4.mapped_ipv4()},
                    message);
  }
  static ip::ByteVector error6(const Saying& saying, std::uint16_t source_port,
                               const Endpoint& to) {
    ip::ByteVector quote(sizeof(wire::Ipv6Header));
    wire::emit(wire::Ipv6{.payload_length = 60,
                          .next_header = wire::kProtocolUdp,
                          .source = kLeft,
                          .destination = to.address},
               quote);
    const ip::ByteVector transport = ip::udp(
        {.source_port = source_port, .destination_port = to.port}, ip::pattern(8, 1), true, false);
    ip::ByteVector message =
        ip::with(ip::icmpv6({}, quote + transport), 0, {saying.type, saying.code});
    ip::fill_icmpv6_checksum(message, kRight, kLeft);
    return ip::ipv6({.next_header = wire::kProtocolIcmpv6, .source = kRight, .destination = kLeft},
                    message);
  }
  // Of a socket that has been told of something; it may take a moment to be here.
  Failure error_of(Socket* socket) {
    EXPECT_TRUE(until([&] { return (socket->readiness(0) & POLLERR) != 0; }));
    return socket->take_error();
  }
};

// RFC 1122 §4.1.3.5.
TEST_P(DatagramsTest, TheAddressThatTheStackChoosesIsTold) {
  Socket* socket = open(left_, SocketType::kDatagram);
  EXPECT_EQ(socket->local(), Endpoint{});
  ASSERT_TRUE(socket->connect(Endpoint{kRight, 53}));
  EXPECT_EQ(socket->local().address, kLeft);
  const std::uint16_t port = socket->local().port;
  EXPECT_NE(port, 0);
  ASSERT_TRUE(socket->connect(Endpoint{test::kRight4, 53}));
  EXPECT_EQ(socket->local(), (Endpoint{test::kLeft4, port}));
  ASSERT_TRUE(socket->connect(std::nullopt));
  EXPECT_EQ(socket->local().address, wire::Ipv6Address());
  // And is what the peer sees.
  Socket* server = open(right_, SocketType::kDatagram);
  ASSERT_TRUE(server->bind({.port = 53}, Sharing::kNone));
  ASSERT_TRUE(socket->connect(Endpoint{test::kRight4, 53}));
  ASSERT_TRUE(send(socket, "hello"));
  ASSERT_TRUE(until([&] { return server->readiness(POLLIN) == POLLIN; }));
  EXPECT_EQ(server->receive({}, false)->from, socket->local());
}

// RFC 6056 §3.2, §3.3.1: within the range, and not one behind the other.
TEST_P(DatagramsTest, PortsAreChosenAtRandom) {
  int successive = 0;
  std::uint16_t last = 0;
  for (int i = 0; i < 32; ++i) {
    Socket* socket = open(left_, SocketType::kDatagram);
    ASSERT_TRUE(socket->bind({}, Sharing::kNone));
    const std::uint16_t port = socket->local().port;
    EXPECT_GE(port, kFirstFreePort);
    EXPECT_LE(port, kLastFreePort);
    if (std::abs(port - last) < 16) ++successive;
    last = port;
  }
  EXPECT_LT(successive, 8);
}

TEST(SocketValues, AFreePortIsFoundIfThereIsOne) {
  for (const std::uint16_t free : {kFirstFreePort, std::uint16_t{45'000}, kLastFreePort}) {
    EXPECT_EQ(find_free_port([&](std::uint16_t port) { return port == free; }), free);
  }
  int tried = 0;
  EXPECT_EQ(find_free_port([&](std::uint16_t /*port*/) { return ++tried == 0; }), 0);
  EXPECT_EQ(tried, kLastFreePort - kFirstFreePort + 1);
  std::set<std::uint16_t> found;
  for (int i = 0; i < 300; ++i) {
    found.insert(find_free_port([](std::uint16_t /*port*/) { return true; }));
  }
  EXPECT_GT(found.size(), 280U);
  EXPECT_LT(*found.begin(), kFirstFreePort + 5000);
  EXPECT_GT(*found.rbegin(), kLastFreePort - 5000);
}

// RFC 8085 §5.2: what it says is of a datagram to somebody else, that came from this port before or
// is invented.
TEST_P(DatagramsTest, AConnectedSocketHearsOfItsPeerAlone) {
  constexpr Saying kPortUnreachable4{3, 3};
  constexpr Saying kPortUnreachable6{1, 4};
  for (const bool ipv4 : {false, true}) {
    const Saying& saying = ipv4 ? kPortUnreachable4 : kPortUnreachable6;
    const Endpoint peer{ipv4 ? test::kRight4 : kRight, 53};
    const Endpoint other_port{peer.address, 54};
    const Endpoint other_host{
        ipv4 ? wire::Ipv6Address::mapped({198, 18, 0, 9}) : wire::Ipv6Address(kRight.high(), 9),
        53};
    for (const bool asks : {false, true}) {
      Socket* socket = open(left_, SocketType::kDatagram);
      socket->set_options({.reports_ipv4 = asks, .reports_ipv6 = asks});
      ASSERT_TRUE(socket->connect(peer));
      const std::uint16_t port = socket->local().port;
      hear_error(saying, port, other_port);
      hear_error(saying, port, other_host);
      EXPECT_EQ(socket->readiness(0), 0U);
      EXPECT_FALSE(socket->has_reports());
      hear_error(saying, port, peer);
      EXPECT_EQ(error_of(socket), Failure::kRefused);
      EXPECT_EQ(socket->has_reports(), asks);
      if (asks) {
        EXPECT_EQ(socket->take_report()->to, peer);
      }
      EXPECT_FALSE(socket->take_report().has_value());
      socket->close(false);
    }
  }
}

// RFC 1122 §3.2.2.5, RFC 4443 §3.4. Linux calls these hard, and tells them to who is connected.
TEST_P(DatagramsTest, HardErrorsReachWhoIsConnected) {
  const auto expect = [&](const Endpoint& peer, const Saying& saying, Failure failure) {
    Socket* socket = open(left_, SocketType::kDatagram);
    ASSERT_TRUE(socket->connect(peer));
    hear_error(saying, socket->local().port, peer);
    EXPECT_EQ(error_of(socket), failure) << "type " << saying.type << ", code " << saying.code;
    socket->close(false);
  };
  const Endpoint peer4{test::kRight4, 53};
  const Endpoint peer6{kRight, 53};
  expect(peer4, {12, 0}, Failure::kProtocol);
  expect(peer4, {12, 1}, Failure::kProtocol);
  expect(peer4, {3, 2}, Failure::kProtocolUnreachable);
  expect(peer4, {3, 3}, Failure::kRefused);
  expect(peer4, {3, 10}, Failure::kHostUnreachable);
  expect(peer4, {3, 13}, Failure::kHostUnreachable);
  expect(peer6, {4, 0}, Failure::kProtocol);
  expect(peer6, {4, 1}, Failure::kProtocol);
  expect(peer6, {4, 2}, Failure::kProtocol);
  expect(peer6, {1, 1}, Failure::kNotPermitted);
  expect(peer6, {1, 4}, Failure::kRefused);
  expect(peer6, {1, 6}, Failure::kNotPermitted);
}

// The others may pass, so they are for who asks for them.
TEST_P(DatagramsTest, SoftErrorsReachWhoAsks) {
  const auto expect = [&](const Endpoint& peer, const Saying& saying, Failure failure) {
    for (const bool asks : {false, true}) {
      Socket* socket = open(left_, SocketType::kDatagram);
      socket->set_options({.reports_ipv4 = asks, .reports_ipv6 = asks});
      ASSERT_TRUE(socket->connect(peer));
      hear_error(saying, socket->local().port, peer);
      if (asks) {
        EXPECT_EQ(error_of(socket), failure) << "type " << saying.type << ", code " << saying.code;
        const auto report = socket->take_report();
        ASSERT_TRUE(report.has_value());
        EXPECT_EQ(report->type, saying.type);
        EXPECT_EQ(report->code, saying.code);
      } else {
        EXPECT_EQ(socket->readiness(0), 0U) << "type " << saying.type << ", code " << saying.code;
      }
      socket->close(false);
    }
  };
  const Endpoint peer4{test::kRight4, 53};
  const Endpoint peer6{kRight, 53};
  expect(peer4, {3, 0}, Failure::kNetworkUnreachable);
  expect(peer4, {3, 1}, Failure::kHostUnreachable);
  expect(peer4, {11, 0}, Failure::kHostUnreachable);
  expect(peer6, {1, 0}, Failure::kNetworkUnreachable);
  expect(peer6, {1, 3}, Failure::kHostUnreachable);
  expect(peer6, {3, 0}, Failure::kHostUnreachable);
}

INSTANTIATE_TEST_SUITE_P(Placements, DatagramsTest,
                         ::testing::Values(test::Placement::kApp, test::Placement::kFrontEnd),
                         [](const auto& each) {
                           return each.param == test::Placement::kApp ? "app" : "frontend";
                         });

}  // namespace
}  // namespace tideline::engine
