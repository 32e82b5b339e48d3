// SPDX-License-Identifier: Apache-2.0
// Verbs on objects: limits, states, keys, queues, events; and what a program sees of its own and
// its peer's mistakes.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cerrno>

#include "rdma/test_network.h"
#include "wire/protocol.h"
#include "wire/udp.h"

namespace tideline::rdma {
namespace {

using M = QpMask;

class Verbs : public testing::Test {
 protected:
  // A buffer of a node, registered for everything.
  struct Buffer {
    Buffer(Node& node, std::size_t size)
        : bytes(random_bytes(size, size)), region(node.share(bytes)) {}
    Sge sge(std::uint32_t offset, std::uint32_t length) const {
      return {Node::address_of(bytes) + offset, length, region.key};
    }
    ByteVector bytes;
    MemoryRegion& region;
  };

  Posted send(Node& node, QueuePair& qp, SendRequest request, const Sge& sge) {
    request.flags |= SendFlags::kSignaled;
    request.sges = {&sge, 1};
    return node.context->post_send(qp, request, net.now);
  }
  Posted receive(Node& node, QueuePair& qp, const Sge& sge, std::uint64_t id = 0) {
    return node.context->post_recv(qp, {.wr_id = id, .sges = {&sge, 1}}, net.now);
  }
  Completion next(Node& node) {
    std::array<Completion, 1> one;
    EXPECT_TRUE(net.run([&] { return node.cq->poll(one) == 1; }));
    return one[0];
  }
  SendRequest write_to(const Buffer& buffer, std::uint32_t key) {
    return {.opcode = SendOpcode::kWrite,
            .remote_address = Node::address_of(buffer.bytes),
            .rkey = key};
  }
  Status modify(QueuePair& qp, QpAttributes attributes, std::uint32_t mask) {
    return net.a.context->modify_qp(qp, attributes, mask, net.now);
  }

  Network net;
};

TEST_F(Verbs, DatagramsArriveWithTheirHeader) {
  QueuePair& left = net.a.create(QpType::kUd);
  QueuePair& right = net.b.create(QpType::kUd);
  net.connected(left, right);
  const Buffer from(net.a, 1000);
  const Buffer to(net.b, 2000);
  AddressHandle* ah = net.a.context->create_ah(*net.a.pd, {.destination = net.b.gid(0)}).value();
  const SendRequest request{.opcode = SendOpcode::kSendImm,
                            .immediate = 5,
                            .ah = ah,
                            .remote_qpn = right.number,
                            .remote_qkey = 0x1234};
  ASSERT_EQ(receive(net.b, right, to.sge(0, 2000)), Posted::kPosted);
  ASSERT_EQ(send(net.a, left, request, from.sge(0, 1000)), Posted::kPosted);
  const Completion received = next(net.b);
  EXPECT_EQ(received.byte_len, 1040U);
  EXPECT_EQ(received.src_qp, left.number);
  EXPECT_EQ(received.flags, WcFlags::kGrh | WcFlags::kImmediate);
  EXPECT_EQ(received.immediate, 5U);
  EXPECT_EQ(received.header, NetworkHeader::kIpv4);
  EXPECT_TRUE(std::equal(from.bytes.begin(), from.bytes.end(), to.bytes.begin() + 40));
  const auto ip = wire::parse_ipv4(wire::Bytes(to.bytes).subspan(20));
  ASSERT_TRUE(ip.has_value());
  EXPECT_EQ(ip->source, Node::address4(1));
  EXPECT_EQ(next(net.a).status, WcStatus::kSuccess);

  // With another Q_Key, without a receive request, or too long to send: lost, or refused.
  SendRequest stranger = request;
  stranger.remote_qkey = 1;
  ASSERT_EQ(receive(net.b, right, to.sge(0, 2000)), Posted::kPosted);
  ASSERT_EQ(send(net.a, left, stranger, from.sge(0, 10)), Posted::kPosted);
  net.settle();
  EXPECT_EQ(net.b.device.counters().of(Counter::kDropQkey), 1U);
  EXPECT_EQ(net.b.cq->size(), 0U);
  const Buffer large(net.a, 1025);
  EXPECT_EQ(send(net.a, left, request, large.sge(0, 1025)), Posted::kInvalid);
  // Our own buffer without room for the header is our program's mistake.
  ASSERT_EQ(send(net.a, left, request, from.sge(0, 1000)), Posted::kPosted);
  EXPECT_EQ(next(net.b).status, WcStatus::kSuccess);
  ASSERT_EQ(receive(net.b, right, to.sge(0, 49)), Posted::kPosted);
  ASSERT_EQ(send(net.a, left, request, from.sge(0, 10)), Posted::kPosted);
  EXPECT_EQ(next(net.b).status, WcStatus::kLocalLength);
  EXPECT_EQ(right.state, QpState::kErr);
}

TEST_F(Verbs, DatagramsOfRoceV1ArriveWithTheirGrh) {
  QueuePair& left = net.a.create(QpType::kUd);
  QueuePair& right = net.b.create(QpType::kUd);
  net.connected(left, right);
  const Buffer from(net.a, 100);
  const Buffer to(net.b, 200);
  constexpr std::uint8_t kV1 = GidTable::kFirstV1;
  AddressHandle* ah =
      net.a.context->create_ah(*net.a.pd, {.destination = net.b.gid(kV1), .source_gid_index = kV1})
          .value();
  const SendRequest request{.ah = ah, .remote_qpn = right.number, .remote_qkey = 0x1234};
  ASSERT_EQ(receive(net.b, right, to.sge(0, 200)), Posted::kPosted);
  ASSERT_EQ(send(net.a, left, request, from.sge(0, 100)), Posted::kPosted);
  const Completion received = next(net.b);
  EXPECT_EQ(received.byte_len, 140U);
  EXPECT_EQ(received.header, NetworkHeader::kGrh);
  const auto grh = wire::parse_ipv6(to.bytes);
  ASSERT_TRUE(grh.has_value());
  EXPECT_EQ(grh->next_header, wire::kProtocolGrh);
  EXPECT_EQ(grh->source, net.a.gid(0)) << "an IPv4 address, mapped";
  EXPECT_EQ(grh->destination, net.b.gid(0));
  EXPECT_TRUE(std::equal(from.bytes.begin(), from.bytes.end(), to.bytes.begin() + 40));
}

// The same address, but not what was agreed upon.
TEST_F(Verbs, APeerOfTheOtherRoceIsNotThePeer) {
  QueuePair& left = net.a.create(QpType::kRc);
  QueuePair& right = net.b.create(QpType::kRc);
  net.connected(left, right);
  left.route.type = GidType::kRoceV1;
  const Buffer from(net.a, 8);
  const Buffer to(net.b, 8);
  ASSERT_EQ(send(net.a, left, write_to(to, to.region.key), from.sge(0, 8)), Posted::kPosted);
  EXPECT_EQ(next(net.a).status, WcStatus::kRetryExceeded);
  EXPECT_EQ(net.b.device.counters().of(Counter::kDropAddress), 8U);
}

TEST_F(Verbs, UnreliableMessagesArriveOverAPerfectLink) {
  QueuePair& left = net.a.create(QpType::kUc);
  QueuePair& right = net.b.create(QpType::kUc);
  net.connected(left, right);
  const Buffer from(net.a, 100'000);
  Buffer to(net.b, 100'001);
  ASSERT_EQ(send(net.a, left, write_to(to, to.region.key), from.sge(0, 100'000)), Posted::kPosted);
  net.settle();
  EXPECT_TRUE(std::equal(from.bytes.begin(), from.bytes.end(), to.bytes.begin()));
  ASSERT_EQ(receive(net.b, right, to.sge(0, 100'001)), Posted::kPosted);
  ASSERT_EQ(send(net.a, left, {.opcode = SendOpcode::kSend}, from.sge(0, 70'000)), Posted::kPosted);
  EXPECT_EQ(next(net.b).byte_len, 70'000U);
  EXPECT_EQ(send(net.a, left, {.opcode = SendOpcode::kRead}, from.sge(0, 8)), Posted::kInvalid);
}

TEST_F(Verbs, ASharedReceiveQueueServesSeveralAndTellsWhenItRunsLow) {
  SharedReceiveQueue* srq =
      net.b.context->create_srq(*net.b.pd, {.max_wr = 8, .max_sge = 1}).value();
  const Buffer from(net.a, 64);
  const Buffer to(net.b, 64);
  std::vector<QueuePair*> lefts;
  for (int i = 0; i < 3; ++i) {
    lefts.push_back(&net.a.create(QpType::kRc));
    net.connected(*lefts.back(), net.b.create(QpType::kRc, srq));
  }
  const Sge sge = to.sge(0, 64);
  for (std::uint64_t id = 0; id < 3; ++id) {
    ASSERT_EQ(net.b.context->post_srq_recv(*srq, {.wr_id = id, .sges = {&sge, 1}}),
              Posted::kPosted);
  }
  ASSERT_TRUE(net.b.context->modify_srq(*srq, {.set_limit = true, .limit = 2}));
  for (QueuePair* left : lefts) {
    ASSERT_EQ(send(net.a, *left, {.opcode = SendOpcode::kSend}, from.sge(0, 64)), Posted::kPosted);
  }
  for (std::uint64_t id = 0; id < 3; ++id) EXPECT_EQ(next(net.b).wr_id, id);
  ASSERT_EQ(net.b.events.size(), 1U) << "the limit is armed for one event";
  EXPECT_EQ(net.b.events[0], EventType::kSrqLimitReached);
  EXPECT_EQ(net.b.context->destroy_srq(*srq).error().errno_value, EBUSY);
  // Nothing is left: the next sender waits for a request.
  ASSERT_EQ(send(net.a, *lefts[0], {.opcode = SendOpcode::kSend}, from.sge(0, 64)),
            Posted::kPosted);
  for (int i = 0; i < 1000 && net.b.device.counters().of(Counter::kNakRnr) == 0; ++i) {
    net.now += std::chrono::microseconds(1);
    net.work();
  }
  EXPECT_GT(net.b.device.counters().of(Counter::kNakRnr), 0U);
  ASSERT_EQ(net.b.context->post_srq_recv(*srq, {.wr_id = 9, .sges = {&sge, 1}}), Posted::kPosted);
  EXPECT_EQ(next(net.b).wr_id, 9U);
}

TEST_F(Verbs, AWindowOpensAPartOfARegionUntilItIsInvalidated) {
  QueuePair& left = net.a.create(QpType::kRc);
  QueuePair& right = net.b.create(QpType::kRc);
  net.connected(left, right);
  const Buffer from(net.a, 100);
  Buffer to(net.b, 1000);
  MemoryWindow* window = net.b.context->alloc_window(*net.b.pd, WindowType::k2).value();
  const std::uint32_t key = window->key + 1;
  SendRequest bind{.opcode = SendOpcode::kBindWindow,
                   .flags = SendFlags::kSignaled,
                   .bind = {.window = window,
                            .new_key = key,
                            .region = &to.region,
                            .address = Node::address_of(to.bytes) + 100,
                            .length = 100,
                            .access = Access::kRemoteWrite}};
  ASSERT_EQ(net.b.context->post_send(right, bind, net.now), Posted::kPosted);
  EXPECT_EQ(next(net.b).opcode, WcOpcode::kBindWindow);
  EXPECT_EQ(net.b.context->deregister_region(to.region).error().errno_value, EBUSY);

  SendRequest write = write_to(to, key);
  write.remote_address += 100;
  ASSERT_EQ(send(net.a, left, write, from.sge(0, 100)), Posted::kPosted);
  EXPECT_EQ(next(net.a).status, WcStatus::kSuccess);
  EXPECT_TRUE(std::equal(from.bytes.begin(), from.bytes.end(), to.bytes.begin() + 100));

  // The peer takes it away with a message.
  ASSERT_EQ(receive(net.b, right, to.sge(900, 100)), Posted::kPosted);
  ASSERT_EQ(
      send(net.a, left, {.opcode = SendOpcode::kSendInvalidate, .immediate = key}, from.sge(0, 8)),
      Posted::kPosted);
  const Completion received = next(net.b);
  EXPECT_EQ(received.flags, WcFlags::kInvalidated);
  EXPECT_EQ(received.immediate, key);
  EXPECT_EQ(next(net.a).status, WcStatus::kSuccess);
  ASSERT_EQ(send(net.a, left, write, from.sge(0, 8)), Posted::kPosted);
  EXPECT_EQ(next(net.a).status, WcStatus::kRemoteAccess);
  EXPECT_TRUE(net.b.context->deregister_region(to.region));
}

TEST_F(Verbs, AWindowOfType2IsItsQueuePairsAlone) {
  QueuePair& left = net.a.create(QpType::kRc);
  QueuePair& right = net.b.create(QpType::kRc);
  QueuePair& other = net.b.create(QpType::kRc);
  net.connected(left, right);
  net.bring_up(net.b, other, left.number, {});
  const Buffer from(net.a, 8);
  const Buffer to(net.b, 100);
  MemoryWindow* window = net.b.context->alloc_window(*net.b.pd, WindowType::k2).value();
  const SendRequest bind{.opcode = SendOpcode::kBindWindow,
                         .bind = {.window = window,
                                  .new_key = window->key,
                                  .region = &to.region,
                                  .address = Node::address_of(to.bytes),
                                  .length = 100,
                                  .access = Access::kRemoteWrite}};
  ASSERT_EQ(net.b.context->post_send(other, bind, net.now), Posted::kPosted);
  net.work();
  ASSERT_EQ(send(net.a, left, write_to(to, window->key), from.sge(0, 8)), Posted::kPosted);
  EXPECT_EQ(next(net.a).status, WcStatus::kRemoteAccess);
  EXPECT_EQ(net.b.events.back(), EventType::kQpAccessError);
}

TEST_F(Verbs, MemoryThatIsGoneIsACompletionError) {
  QueuePair& left = net.a.create(QpType::kRc);
  QueuePair& right = net.b.create(QpType::kRc);
  net.connected(left, right);
  const Buffer from(net.a, 4096);
  void* gone = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const auto address = reinterpret_cast<std::uint64_t>(gone);
  const MemoryRegion* region =
      net.b.context
          ->register_region(*net.b.pd, {.address = address,
                                        .length = 4096,
                                        .iova = address,
                                        .access = Access::kLocalWrite | Access::kRemoteWrite})
          .value();
  ::munmap(gone, 4096);
  ASSERT_EQ(send(net.a, left,
                 {.opcode = SendOpcode::kWrite, .remote_address = address, .rkey = region->key},
                 from.sge(0, 4096)),
            Posted::kPosted);
  EXPECT_EQ(next(net.a).status, WcStatus::kRemoteAccess);
  EXPECT_EQ(right.state, QpState::kErr);
}

TEST_F(Verbs, StatesAreReachedAsTheTableSays) {
  QueuePair& qp = net.a.create(QpType::kRc);
  const QpAttributes init{.state = QpState::kInit, .port = 1};
  EXPECT_EQ(modify(qp, init, M::kState).error().errno_value, EINVAL) << "attributes are missing";
  EXPECT_EQ(modify(qp, init, M::kState | M::kPkeyIndex | M::kPort | M::kAccess | M::kQkey)
                .error()
                .errno_value,
            EINVAL)
      << "RC has no Q_Key";
  QpAttributes other_port = init;
  other_port.port = 2;
  EXPECT_FALSE(modify(qp, other_port, M::kState | M::kPkeyIndex | M::kPort | M::kAccess));
  EXPECT_TRUE(modify(qp, init, M::kState | M::kPkeyIndex | M::kPort | M::kAccess));
  EXPECT_FALSE(modify(qp, {.state = QpState::kRts}, M::kState)) << "not from INIT";
  EXPECT_FALSE(modify(qp, {.state = QpState::kInit, .current_state = QpState::kRts},
                      M::kState | M::kCurrentState));
  QpAttributes rtr{.state = QpState::kRtr,
                   .address = {.destination = net.b.gid(0)},
                   .path_mtu = Mtu::k4096,
                   .destination_qpn = 5};
  constexpr std::uint32_t kRtr = M::kState | M::kAddress | M::kPathMtu | M::kDestinationQpn |
                                 M::kReceivePsn | M::kMaxDestRdAtomic | M::kMinRnrTimer;
  EXPECT_FALSE(modify(qp, rtr, kRtr)) << "the link carries 1024 only";
  rtr.path_mtu = Mtu::k1024;
  rtr.address.source_gid_index = 9;
  EXPECT_FALSE(modify(qp, rtr, kRtr)) << "an empty GID";
  rtr.address.source_gid_index = 1;
  EXPECT_FALSE(modify(qp, rtr, kRtr)) << "IPv6 to IPv4";
  EXPECT_EQ(qp.state, QpState::kInit);
  rtr.address.source_gid_index = 0;
  EXPECT_TRUE(modify(qp, rtr, kRtr));
  EXPECT_EQ(net.a.context->post_send(qp, {}, net.now), Posted::kWrongState);
  EXPECT_EQ(net.a.context->query_qp(qp).path_mtu, Mtu::k1024);
  EXPECT_TRUE(modify(qp, {.state = QpState::kErr}, M::kState));
  EXPECT_TRUE(modify(qp, {.state = QpState::kReset}, M::kState));
  EXPECT_EQ(qp.state, QpState::kReset);
}

TEST_F(Verbs, DrainingEndsWhatHasBegunAndBeginsNothing) {
  QueuePair& left = net.a.create(QpType::kRc);
  QueuePair& right = net.b.create(QpType::kRc);
  net.connected(left, right);
  const Buffer from(net.a, 1000);
  const Buffer to(net.b, 1000);
  ASSERT_EQ(send(net.a, left, write_to(to, to.region.key), from.sge(0, 1000)), Posted::kPosted);
  net.work();
  ASSERT_TRUE(
      modify(left, {.state = QpState::kSqd, .sqd_notify = true}, M::kState | M::kSqdNotify));
  EXPECT_TRUE(net.a.events.empty());
  ASSERT_EQ(send(net.a, left, write_to(to, to.region.key), from.sge(0, 1000)), Posted::kPosted);
  EXPECT_EQ(next(net.a).status, WcStatus::kSuccess);
  ASSERT_EQ(net.a.events.size(), 1U);
  EXPECT_EQ(net.a.events[0], EventType::kSendQueueDrained);
  net.settle();
  EXPECT_EQ(net.a.cq->size(), 0U);
  ASSERT_TRUE(modify(left, {.state = QpState::kRts}, M::kState));
  EXPECT_EQ(next(net.a).status, WcStatus::kSuccess);
}

TEST_F(Verbs, AnErrorFlushesEverythingOnceAndOnlyThat) {
  QueuePair& left = net.a.create(QpType::kRc);
  QueuePair& right = net.b.create(QpType::kRc);
  net.connected(left, right);
  const Buffer from(net.a, 64);
  for (std::uint64_t id = 0; id < 3; ++id) {
    ASSERT_EQ(receive(net.a, left, from.sge(0, 8), 10 + id), Posted::kPosted);
    ASSERT_EQ(send(net.a, left, {.wr_id = id, .opcode = SendOpcode::kSend}, from.sge(0, 8)),
              Posted::kPosted);
  }
  ASSERT_TRUE(modify(left, {.state = QpState::kErr}, M::kState));
  const auto all = net.a.poll();
  ASSERT_EQ(all.size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(all[i].status, WcStatus::kFlushed);
    EXPECT_EQ(all[i].wr_id, i < 3 ? i : i + 7);
  }
  ASSERT_EQ(receive(net.a, left, from.sge(0, 8), 99), Posted::kPosted);
  EXPECT_EQ(net.a.poll().at(0).wr_id, 99U);
}

TEST_F(Verbs, AnOverrunQueueIsAnEventAndTheQueuePairsEnd) {
  CompletionQueue* small = net.a.context->create_cq(1).value();
  QueuePair& left = *net.a.context
                         ->create_qp(*net.a.pd, {.type = QpType::kRc,
                                                 .send_cq = small,
                                                 .recv_cq = net.a.cq,
                                                 .capacity = {.send_wr = 8, .send_sge = 1}})
                         .value();
  QueuePair& right = net.b.create(QpType::kRc);
  net.connected(left, right);
  const Buffer from(net.a, 64);
  const Buffer to(net.b, 64);
  for (int i = 0; i < 2; ++i) {
    ASSERT_EQ(send(net.a, left, write_to(to, to.region.key), from.sge(0, 8)), Posted::kPosted);
  }
  net.run([&] { return left.state == QpState::kErr; });
  ASSERT_EQ(net.a.events.size(), 2U);
  EXPECT_EQ(net.a.events[0], EventType::kCqError);
  EXPECT_EQ(net.a.events[1], EventType::kQpFatal);
  EXPECT_EQ(net.a.context->destroy_cq(*small).error().errno_value, EBUSY);
}

TEST_F(Verbs, NotificationsComeOnceAndForWhatWasAskedFor) {
  QueuePair& left = net.a.create(QpType::kRc);
  QueuePair& right = net.b.create(QpType::kRc);
  net.connected(left, right);
  const Buffer from(net.a, 64);
  const Buffer to(net.b, 64);
  const auto exchange = [&](std::uint32_t flags) {
    ASSERT_EQ(receive(net.b, right, to.sge(0, 64)), Posted::kPosted);
    ASSERT_EQ(send(net.a, left, {.opcode = SendOpcode::kSend, .flags = flags}, from.sge(0, 8)),
              Posted::kPosted);
    EXPECT_EQ(next(net.b).status, WcStatus::kSuccess);
  };
  exchange(0);
  EXPECT_EQ(net.b.announced, 0);
  net.b.cq->request_notification(CompletionQueue::Notify::kSolicited);
  exchange(0);
  EXPECT_EQ(net.b.announced, 0);
  exchange(SendFlags::kSolicited);
  exchange(SendFlags::kSolicited);
  EXPECT_EQ(net.b.announced, 1);
  net.b.cq->request_notification(CompletionQueue::Notify::kAny);
  exchange(0);
  EXPECT_EQ(net.b.announced, 2);
}

TEST_F(Verbs, QueuePairsOfOneHostTalkWithoutAWire) {
  QueuePair& left = net.a.create(QpType::kRc);
  QueuePair& right = net.a.create(QpType::kRc);
  // Both on host a, at its own address.
  for (auto [qp, peer] : {std::pair{&left, &right}, std::pair{&right, &left}}) {
    QpAttributes attributes{.state = QpState::kInit,
                            .access = Access::kRemoteWrite | Access::kRemoteRead,
                            .port = 1,
                            .address = {.destination = net.a.gid(0)},
                            .timeout = 8,
                            .retry_count = 7,
                            .max_rd_atomic = 1,
                            .max_dest_rd_atomic = 1,
                            .destination_qpn = peer->number};
    ASSERT_TRUE(modify(*qp, attributes, M::kState | M::kPkeyIndex | M::kPort | M::kAccess));
    attributes.state = QpState::kRtr;
    ASSERT_TRUE(modify(*qp, attributes,
                       M::kState | M::kAddress | M::kPathMtu | M::kDestinationQpn | M::kReceivePsn |
                           M::kMaxDestRdAtomic | M::kMinRnrTimer));
    attributes.state = QpState::kRts;
    ASSERT_TRUE(modify(
        *qp, attributes,
        M::kState | M::kTimeout | M::kRetryCount | M::kRnrRetry | M::kSendPsn | M::kMaxRdAtomic));
  }
  const Buffer from(net.a, 200'000);
  Buffer to(net.a, 200'001);
  net.filter = [](unsigned, const packet::Packet&) -> bool {
    ADD_FAILURE() << "a frame on the link";
    return true;
  };
  ASSERT_EQ(send(net.a, left, write_to(to, to.region.key), from.sge(0, 200'000)), Posted::kPosted);
  EXPECT_EQ(next(net.a).status, WcStatus::kSuccess);
  EXPECT_TRUE(std::equal(from.bytes.begin(), from.bytes.end(), to.bytes.begin()));
}

// Item 83.
TEST_F(Verbs, Item83_RcvPacket_WithABadIcrc_IsDroppedSilently) {
  QueuePair& left = net.a.create(QpType::kRc);
  QueuePair& right = net.b.create(QpType::kRc);
  net.connected(left, right, {.timeout = 14});
  const Buffer from(net.a, 64);
  Buffer to(net.b, 64);
  const ByteVector before = to.bytes;
  int spoilt = 0;
  net.filter = [&](unsigned number, const packet::Packet& frame) {
    if (number != 1) return true;
    // The same frame with a byte of the payload changed, straight to the other host.
    ByteVector bytes(frame.size());
    packet::PassCounter passes;
    packet::copy_out(frame, 0, bytes, passes);
    bytes.at(80) ^= std::byte{1};
    net.b.stack.receive(packet::copy_of(bytes, *net.b.pool, passes), net.now);
    ++spoilt;
    return false;
  };
  ASSERT_EQ(send(net.a, left, write_to(to, to.region.key), from.sge(0, 64)), Posted::kPosted);
  net.work();
  EXPECT_EQ(spoilt, 1);
  EXPECT_EQ(net.b.device.counters().of(Counter::kDropIcrc), 1U);
  EXPECT_EQ(to.bytes, before);
  EXPECT_EQ(net.b.device.counters().of(Counter::kTxPackets), 0U);
  net.filter = nullptr;
  EXPECT_EQ(next(net.a).status, WcStatus::kSuccess) << "sent again, it arrives";
}

// Item 92. And 91: any source port will do.
TEST_F(Verbs, Item92_RcvCnp_IsCountedOrDropped) {
  QueuePair& left = net.a.create(QpType::kRc);
  QueuePair& right = net.b.create(QpType::kRc);
  net.connected(left, right);
  const auto send_cnp = [&](std::uint32_t number, std::uint16_t pkey) {
    ByteVector bytes(sizeof(wire::UdpHeader) + wire::kBthSize + 16 + wire::kIcrcSize);
    const wire::MutableBytes packet(bytes);
    wire::emit(wire::Udp{.source_port = 0,
                         .destination_port = wire::kRocePort,
                         .length = static_cast<std::uint16_t>(bytes.size())},
               packet);
    wire::emit(wire::Roce{.opcode = 0x81, .pkey = pkey, .becn = true, .qp = number},
               packet.subspan(sizeof(wire::UdpHeader)));
    packet::PassCounter passes;
    packet::PacketPtr frame = packet::copy_of(bytes, *net.a.pool, passes);
    frame->meta().offload = {
        .checksum = packet::Checksum::kNeeded, .gso = packet::Gso::kRoce, .gso_size = 1024};
    EXPECT_TRUE(net.a.stack.send(std::move(frame),
                                 {.source = wire::Ipv6Address::mapped(Node::address4(1)),
                                  .destination = wire::Ipv6Address::mapped(Node::address4(2)),
                                  .protocol = wire::kProtocolUdp,
                                  .traffic_class = 3},
                                 net.now));
    net.settle();
  };
  const Counters& counters = net.b.device.counters();
  send_cnp(right.number, wire::kDefaultPkey);
  EXPECT_EQ(counters.of(Counter::kRxCnp), 1U);
  EXPECT_EQ(counters.of(Counter::kRxEcn), 1U);
  send_cnp(right.number + 1, wire::kDefaultPkey);
  EXPECT_EQ(counters.of(Counter::kDropCnp), 1U);
  send_cnp(right.number, 0x1234);
  EXPECT_EQ(counters.of(Counter::kDropPkey), 1U);
  EXPECT_EQ(counters.of(Counter::kTxPackets), 0U) << "nothing is ever answered";
}

TEST_F(Verbs, PacketsOfOthersAreDropped) {
  QueuePair& left = net.a.create(QpType::kRc);
  QueuePair& right = net.b.create(QpType::kUc);
  QueuePair& third = net.b.create(QpType::kRc);
  net.bring_up(net.a, left, right.number, {.timeout = 14});
  net.bring_up(net.b, right, left.number, {});
  const Buffer from(net.a, 64);
  const Buffer to(net.b, 64);
  ASSERT_EQ(send(net.a, left, write_to(to, to.region.key), from.sge(0, 64)), Posted::kPosted);
  net.run([&] { return net.b.device.counters().of(Counter::kDropQpType) > 0; });
  EXPECT_EQ(net.b.device.counters().of(Counter::kDropQpType), 1U);
  // A queue pair whose peer is another host.
  Connection elsewhere;
  net.bring_up(net.b, third, left.number, elsewhere);
  third.route.destination = wire::Ipv6Address::mapped(wire::Ipv4Address(192, 0, 2, 77));
  left.attributes.destination_qpn = third.number;
  net.run([&] { return net.b.device.counters().of(Counter::kDropAddress) > 0; });
  EXPECT_EQ(net.b.device.counters().of(Counter::kDropAddress), 1U);
}

TEST_F(Verbs, KeysAreNeitherReusedNorGuessed) {
  const Buffer buffer(net.a, 64);
  const std::uint32_t key = buffer.region.key;
  ASSERT_TRUE(net.a.context->deregister_region(buffer.region));
  EXPECT_FALSE(
      net.a.context->register_region(*net.a.pd, {.address = 1, .length = UINT64_MAX}).has_value());
  EXPECT_FALSE(
      net.a.context->register_region(*net.a.pd, {.length = 1, .access = Access::kRemoteWrite})
          .has_value());
  std::vector<std::uint32_t> keys;
  keys.reserve(1000);
  for (int i = 0; i < 1000; ++i) {
    keys.push_back(
        net.a.context->register_region(*net.a.pd, {.address = 4096, .length = 1}).value()->key);
  }
  std::ranges::sort(keys);
  EXPECT_EQ(std::ranges::adjacent_find(keys), keys.end());
  EXPECT_FALSE(std::ranges::binary_search(keys, key));
  EXPECT_EQ(net.a.context->dealloc_pd(*net.a.pd).error().errno_value, EBUSY);
}

TEST_F(Verbs, APeerNamedByLidIsTheHostOfTheNetwork) {
  EXPECT_EQ(net.a.device.lid(), 1U);
  const auto vector = net.a.device.address_of(net.b.device.lid());
  ASSERT_TRUE(vector.has_value());
  EXPECT_EQ(vector->destination, net.b.gid(0));
  EXPECT_EQ(vector->lid, 2U);
  EXPECT_TRUE(net.a.context->create_ah(*net.a.pd, *vector));
  EXPECT_EQ(net.a.device.address_of(0).error().errno_value, EINVAL);
}

TEST_F(Verbs, AClosedContextLeavesNothingBehind) {
  QueuePair& left = net.a.create(QpType::kRc);
  QueuePair& right = net.b.create(QpType::kRc);
  net.connected(left, right);
  const Buffer from(net.a, 64);
  const std::uint32_t number = left.number;
  ASSERT_EQ(send(net.a, left, {.opcode = SendOpcode::kSend}, from.sge(0, 64)), Posted::kPosted);
  net.work();
  net.a.device.close(*net.a.context);
  EXPECT_EQ(net.a.device.find_qp(number), nullptr);
  EXPECT_FALSE(net.a.device.has_work());
  net.settle();
  EXPECT_EQ(net.a.device.next_deadline(), kNever);
}

}  // namespace
}  // namespace tideline::rdma
