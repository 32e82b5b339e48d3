// SPDX-License-Identifier: Apache-2.0
// What TCP tells IP of the first hop: RFC 4861 §7.3.1, RFC 1122 §2.3.2.1.
#include <gtest/gtest.h>

#include "tcp/test_net.h"

namespace tideline::tcp::test {
namespace {

using ip::NeighbourState;
using std::chrono::seconds;

// A question for a neighbour, of ARP or of neighbour discovery.
bool asks_for_a_neighbour(const std::vector<std::byte>& frame) {
  const auto at = [&](std::size_t i) { return std::to_integer<unsigned>(frame.at(i)); };
  const unsigned ether_type = at(12) << 8 | at(13);
  if (ether_type == 0x0806) return at(21) == 1;
  return ether_type == 0x86dd && at(20) == 58 && at(54) == 135;
}

TEST(FirstHop, AnAcknowledgmentConfirmsIt) {
  for (const bool ipv4 : {true, false}) {
    SimNet net({}, 1);
    SimStream client(net.left(), net, 10, 0, 0);
    SimStream server(net.right(), net, 11, 0, 1000);
    client.closes = server.closes = false;
    SimListener listener(net.right(), net, [&] { return &server; });
    ASSERT_TRUE(net.right().tcp.listen({{}, kPort}, {}, listener).has_value());
    const auto id = net.left().tcp.connect({net.right().address(ipv4), kPort}, {}, {},
                                           client.attachment(), net.now);
    ASSERT_TRUE(id.has_value());
    client.id = *id;
    ASSERT_TRUE(net.run([&] { return client.is_established && !listener.accepted.empty(); }));
    net.right().tcp.accepted(server.id);

    const wire::Ipv6Address peer = net.right().address(ipv4);
    const auto state = [&] {
      const ip::Stack& stack = net.left().stack;
      return ipv4 ? stack.arp().neighbours().state(peer.mapped_ipv4(), net.now)
                  : stack.ndp().neighbours().state(peer, net.now);
    };
    EXPECT_EQ(state(), NeighbourState::kReachable);  // the handshake's
    net.run_for(seconds(60));
    EXPECT_EQ(state(), NeighbourState::kStale);
    int questions = 0;
    net.filter = [&](unsigned from, const std::vector<std::byte>& frame) {
      if (from == 0 && asks_for_a_neighbour(frame)) ++questions;
      return true;
    };
    client.to_send = 1000;
    client.produce();
    ASSERT_TRUE(net.run([&] { return server.received == 1000; }));
    ASSERT_TRUE(net.run([&] { return state() == NeighbourState::kReachable; }, seconds(1)));
    net.run_for(seconds(10));
    EXPECT_EQ(questions, 0) << "what has just answered is asked whether it is there";
    // Without an answer nothing is confirmed.
    net.run_for(seconds(60));
    net.filter = [&](unsigned from, const std::vector<std::byte>& frame) {
      if (from == 0 && asks_for_a_neighbour(frame)) ++questions;
      return false;
    };
    client.to_send = 2000;
    client.produce();
    net.run_for(seconds(20));
    EXPECT_GE(questions, 3);
    EXPECT_NE(state(), NeighbourState::kReachable);
  }
}

}  // namespace
}  // namespace tideline::tcp::test
