// SPDX-License-Identifier: Apache-2.0
// RFC 6936 §4: what ICMP says of datagrams that have no checksum is easily invented. RoCE v2 has a
// timer for what does not arrive, and believes nothing of it.
#include <gtest/gtest.h>

#include "ip/test_host.h"
#include "rdma/test_network.h"

namespace tideline::rdma {
namespace {

using wire::operator+;

// Of the right node, about a datagram of the left one's to RoCE's port.
ByteVector path_error4(const wire::Icmp& saying) {
  ByteVector quote(sizeof(wire::Ipv4Header));
  wire::emit(wire::Ipv4{.total_length = 1000,
                        .protocol = wire::kProtocolUdp,
                        .source = Node::address4(1),
                        .destination = Node::address4(2)},
             quote);
  const ByteVector transport =
      ip::udp({.source_port = 0xc000, .destination_port = wire::kRocePort}, {}, false, false);
  return ip::ipv4({.protocol = wire::kProtocolIcmp,
                   .source = Node::address4(2),
                   .destination = Node::address4(1)},
                  ip::icmp(saying, quote + transport));
}
ByteVector path_error6(const wire::Icmpv6& saying) {
  ByteVector quote(sizeof(wire::Ipv6Header));
  wire::emit(wire::Ipv6{.payload_length = 1000,
                        .next_header = wire::kProtocolUdp,
                        .source = Node::address6(1),
                        .destination = Node::address6(2)},
             quote);
  const ByteVector transport =
      ip::udp({.source_port = 0xc000, .destination_port = wire::kRocePort}, {}, true, false);
  return ip::ipv6({.next_header = wire::kProtocolIcmpv6,
                   .source = Node::address6(2),
                   .destination = Node::address6(1)},
                  ip::icmpv6(saying, quote + transport, Node::address6(2), Node::address6(1)));
}

TEST(PathErrors, RcvPathError_OfRoce_IsNotBelieved) {
  using wire::IcmpType;
  using wire::Icmpv6Type;
  Network net;
  QueuePair& left = net.connected(net.a.create(QpType::kRc), net.b.create(QpType::kRc));
  const std::vector<ByteVector> frames = {
      path_error4({.type = IcmpType::kUnreachable, .code = wire::kIcmpPortUnreachable}),
      path_error4({.type = IcmpType::kUnreachable,
                   .code = wire::kIcmpFragmentationNeeded,
                   .next_hop_mtu = 600}),
      path_error4({.type = IcmpType::kTimeExceeded}),
      path_error6({.type = Icmpv6Type::kUnreachable, .code = wire::kIcmpv6PortUnreachable}),
      path_error6({.type = Icmpv6Type::kPacketTooBig, .mtu = 1280}),
      path_error6({.type = Icmpv6Type::kParameterProblem})};
  for (const ByteVector& frame : frames) {
    packet::PassCounter passes;
    net.a.stack.receive(packet::copy_of(frame, *net.a.pool, passes), net.now);
  }
  EXPECT_EQ(net.a.stack.drops().of(ip::Discard::kIcmpQuoteUnknown), frames.size());
  EXPECT_EQ(net.a.stack.path_mtu(wire::Ipv6Address::mapped(Node::address4(2)), net.now).mtu, 1500);
  EXPECT_EQ(net.a.stack.path_mtu(Node::address6(2), net.now).mtu, 1500);
  EXPECT_EQ(left.state, QpState::kRts);
  EXPECT_TRUE(net.a.events.empty());
  // What is on its way arrives.
  ByteVector from = ip::pattern(5000, 1);
  ByteVector to(from.size());
  MemoryRegion& source = net.a.share(from);
  MemoryRegion& target = net.b.share(to);
  const Sge sge{Node::address_of(from), 5000, source.key};
  ASSERT_EQ(net.a.context->post_send(left,
                                     {.opcode = SendOpcode::kWrite,
                                      .flags = SendFlags::kSignaled,
                                      .sges = {&sge, 1},
                                      .remote_address = Node::address_of(to),
                                      .rkey = target.key},
                                     net.now),
            Posted::kPosted);
  std::array<Completion, 1> done;
  ASSERT_TRUE(net.run([&] { return net.a.cq->poll(done) == 1; }));
  EXPECT_EQ(done[0].status, WcStatus::kSuccess);
  EXPECT_EQ(from, to);
}

}  // namespace
}  // namespace tideline::rdma
