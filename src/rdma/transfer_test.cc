// SPDX-License-Identifier: Apache-2.0
// Messages end to end: every operation, over both IP versions, on a wire and in frames of many
// packets, and through links that lose, reorder and duplicate.
#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <tuple>

#include "rdma/test_network.h"

namespace tideline::rdma {
namespace {

enum class Way : std::uint8_t { kIpv4, kIpv6, kV1, kV1Ipv6 };
constexpr std::array kWays{Way::kIpv4, Way::kIpv6, Way::kV1, Way::kV1Ipv6};

// On a wire or by frames.
class RcTransfer : public testing::TestWithParam<std::tuple<bool, Way>> {
 protected:
  static Way way() { return std::get<1>(GetParam()); }

  RcTransfer()
      : net({.segmented = std::get<0>(GetParam()),
             .six = way() == Way::kIpv6 || way() == Way::kV1Ipv6,
             .v1 = way() == Way::kV1 || way() == Way::kV1Ipv6}) {
    net.connected(left, right);
  }

  Posted post(SendRequest request) {
    request.flags |= SendFlags::kSignaled;
    return net.a.context->post_send(left, request, net.now);
  }
  // The next completion of a node.
  Completion next(Node& node) {
    std::array<Completion, 1> one;
    EXPECT_TRUE(net.run([&] { return node.cq->poll(one) == 1; }));
    return one[0];
  }

  Network net;
  QueuePair& left = net.a.create(QpType::kRc);
  QueuePair& right = net.b.create(QpType::kRc);
};

std::string name_of(const testing::TestParamInfo<std::tuple<bool, Way>>& info) {
  const auto [segmented, way] = info.param;
  const std::array ways{"Ipv4", "Ipv6", "V1", "V1Ipv6"};
  return std::string(segmented ? "Wire" : "Frames") + ways.at(static_cast<std::size_t>(way));
}
INSTANTIATE_TEST_SUITE_P(Links, RcTransfer,
                         testing::Combine(testing::Bool(), testing::ValuesIn(kWays)), name_of);

constexpr std::array<std::size_t, 10> kSizes{0,    1,    3,     1023,   1024,
                                             1025, 4096, 64512, 200000, 1048579};

TEST_P(RcTransfer, SendsArriveInReceiveRequests) {
  for (const std::size_t size : kSizes) {
    ByteVector from = random_bytes(size + 1, size);
    ByteVector to(size + 8);
    const auto& source = net.a.share(from);
    const auto& target = net.b.share(to);
    const Sge out{Node::address_of(from), static_cast<std::uint32_t>(size), source.key};
    // Scattered over two pieces.
    const auto half = static_cast<std::uint32_t>(size / 2);
    const std::array in{
        Sge{Node::address_of(to), half, target.key},
        Sge{Node::address_of(to) + half, static_cast<std::uint32_t>(size) - half + 8, target.key}};
    ASSERT_EQ(net.b.context->post_recv(right, {.wr_id = 7, .sges = in}, net.now), Posted::kPosted);
    ASSERT_EQ(
        post({.wr_id = 3, .opcode = SendOpcode::kSendImm, .immediate = 99, .sges = {&out, 1}}),
        Posted::kPosted);
    const Completion received = next(net.b);
    EXPECT_EQ(received.status, WcStatus::kSuccess);
    EXPECT_EQ(received.wr_id, 7U);
    EXPECT_EQ(received.opcode, WcOpcode::kReceive);
    EXPECT_EQ(received.byte_len, size);
    EXPECT_EQ(received.immediate, 99U);
    EXPECT_EQ(received.flags, WcFlags::kImmediate);
    const Completion sent = next(net.a);
    EXPECT_EQ(sent.status, WcStatus::kSuccess);
    EXPECT_EQ(sent.wr_id, 3U);
    ASSERT_TRUE(std::equal(from.begin(), from.end() - 1, to.begin())) << size;
  }
}

TEST_P(RcTransfer, WritesAndReadsMoveMemory) {
  for (const std::size_t size : kSizes) {
    ByteVector from = random_bytes(size + 1, size);
    ByteVector to(size + 1);
    ByteVector back(size + 1);
    const auto& source = net.a.share(from);
    const auto& target = net.b.share(to);
    const auto& returned = net.a.share(back);
    const Sge out{Node::address_of(from), static_cast<std::uint32_t>(size), source.key};
    const Sge in{Node::address_of(back), static_cast<std::uint32_t>(size), returned.key};
    ASSERT_EQ(post({.wr_id = 1,
                    .opcode = SendOpcode::kWrite,
                    .sges = {&out, 1},
                    .remote_address = Node::address_of(to),
                    .rkey = target.key}),
              Posted::kPosted);
    ASSERT_EQ(post({.wr_id = 2,
                    .opcode = SendOpcode::kRead,
                    .flags = SendFlags::kFence,
                    .sges = {&in, 1},
                    .remote_address = Node::address_of(to),
                    .rkey = target.key}),
              Posted::kPosted);
    EXPECT_EQ(next(net.a).opcode, WcOpcode::kWrite);
    const Completion read = next(net.a);
    EXPECT_EQ(read.status, WcStatus::kSuccess);
    EXPECT_EQ(read.opcode, WcOpcode::kRead);
    EXPECT_EQ(read.byte_len, size);
    back.back() = from.back();
    to.back() = from.back();
    ASSERT_EQ(from, to) << size;
    ASSERT_EQ(from, back) << size;
  }
  // Both sides have counted it.
  const std::uint64_t bytes = 2 * std::accumulate(kSizes.begin(), kSizes.end(), std::uint64_t{0});
  EXPECT_EQ(left.counters.requests, 2 * kSizes.size());
  EXPECT_EQ(left.counters.request_bytes, bytes);
  EXPECT_EQ(left.counters.messages, 0U);
  std::array<QpStatus, 2> status;
  std::uint32_t from = 0;
  ASSERT_EQ(net.b.device.list_qps(from, status), 1U);
  EXPECT_EQ(from, 0U);
  EXPECT_EQ(status[0].number, right.number);
  EXPECT_EQ(status[0].peer_number, left.number);
  EXPECT_EQ(status[0].rq_psn, left.requester.next_psn.value());
  EXPECT_EQ(status[0].counters.messages, 2 * kSizes.size());
  EXPECT_EQ(status[0].counters.message_bytes, bytes);
}

TEST_P(RcTransfer, WriteWithImmediateConsumesAReceiveRequest) {
  ByteVector from = random_bytes(5000, 1);
  ByteVector to(5000);
  const Sge out{Node::address_of(from), 5000, net.a.share(from).key};
  const auto& target = net.b.share(to);
  ASSERT_EQ(net.b.context->post_recv(right, {.wr_id = 5}, net.now), Posted::kPosted);
  ASSERT_EQ(post({.opcode = SendOpcode::kWriteImm,
                  .flags = SendFlags::kSolicited,
                  .immediate = 0x01020304,
                  .sges = {&out, 1},
                  .remote_address = Node::address_of(to),
                  .rkey = target.key}),
            Posted::kPosted);
  const Completion received = next(net.b);
  EXPECT_EQ(received.opcode, WcOpcode::kReceiveWriteImm);
  EXPECT_EQ(received.byte_len, 5000U);
  EXPECT_EQ(received.immediate, 0x01020304U);
  EXPECT_TRUE(received.solicited);
  EXPECT_EQ(from, to);
}

TEST_P(RcTransfer, AtomicsReturnWhatWasThere) {
  ByteVector word(64);
  ByteVector result(64);
  const auto& target = net.b.share(word);
  const Sge in{Node::address_of(result), 8, net.a.share(result).key};
  const std::uint64_t at = (Node::address_of(word) + 7) & ~std::uint64_t{7};
  const auto value = [](std::uint64_t address) {
    std::uint64_t word_value = 0;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the address of a buffer here
    std::memcpy(&word_value, reinterpret_cast<const void*>(address), 8);
    return word_value;
  };
  const auto run = [&](SendOpcode opcode, std::uint64_t first, std::uint64_t second) {
    EXPECT_EQ(post({.opcode = opcode,
                    .sges = {&in, 1},
                    .remote_address = at,
                    .rkey = target.key,
                    .compare_add = first,
                    .swap = second}),
              Posted::kPosted);
    EXPECT_EQ(next(net.a).status, WcStatus::kSuccess);
    return value(in.address);
  };
  EXPECT_EQ(run(SendOpcode::kFetchAdd, 40, 0), 0U);
  EXPECT_EQ(run(SendOpcode::kFetchAdd, 2, 0), 40U);
  EXPECT_EQ(run(SendOpcode::kCompareSwap, 42, 1000), 42U);
  EXPECT_EQ(run(SendOpcode::kCompareSwap, 42, 2000), 1000U);
  EXPECT_EQ(value(at), 1000U);
}

TEST_P(RcTransfer, InlineDataIsTakenWhenItIsPosted) {
  ByteVector from = random_bytes(100, 1);
  const ByteVector before = from;
  ByteVector to(100);
  const auto& target = net.b.share(to);
  const Sge out{Node::address_of(from), 100, 0};
  ASSERT_EQ(post({.opcode = SendOpcode::kWrite,
                  .flags = SendFlags::kInline,
                  .sges = {&out, 1},
                  .remote_address = Node::address_of(to),
                  .rkey = target.key}),
            Posted::kPosted);
  std::ranges::fill(from, std::byte{});
  EXPECT_EQ(next(net.a).status, WcStatus::kSuccess);
  EXPECT_EQ(to, before);
}

// Ten percent of everything lost, duplicates and reordering: all messages arrive, in order, once.
struct Trial {
  std::uint64_t seed;
  double loss;
  double duplicate;
  double reorder;
  bool segmented;
};

class LossyLink : public testing::TestWithParam<Trial> {};

INSTANTIATE_TEST_SUITE_P(
    Seeds, LossyLink,
    testing::Values(Trial{1, 0.01, 0, 0, true}, Trial{2, 0.1, 0, 0, true},
                    Trial{3, 0, 0.2, 0.2, true}, Trial{4, 0.1, 0.1, 0.1, true},
                    Trial{5, 0.05, 0.05, 0.05, false}, Trial{6, 0.1, 0.1, 0.1, false},
                    Trial{7, 0.1, 0.1, 0.3, true}, Trial{8, 0.1, 0, 0.1, false}),
    [](const auto& trial) { return "Seed" + std::to_string(trial.param.seed); });

TEST_P(LossyLink, EveryMessageArrivesInOrderOnce) {
  const Trial& trial = GetParam();
  SCOPED_TRACE(testing::Message() << "seed " << trial.seed);
  Network net({.loss = trial.loss,
               .duplicate = trial.duplicate,
               .reorder = trial.reorder,
               .segmented = trial.segmented,
               .seed = trial.seed});
  QueuePair& left = net.a.create(QpType::kRc);
  QueuePair& right = net.b.create(QpType::kRc);
  net.connected(left, right);
  constexpr std::size_t kRegion = 40000;
  constexpr int kMessages = 300;
  Rng rng(trial.seed);
  ByteVector source = random_bytes(kRegion, trial.seed);
  ByteVector target(kRegion);
  ByteVector model(kRegion);
  ByteVector back(kRegion);
  ByteVector counters(16);
  const auto& from = net.a.share(source);
  const auto& to = net.b.share(target);
  const auto& returned = net.a.share(back);
  const auto& words = net.b.share(counters);
  const std::uint64_t word = (Node::address_of(counters) + 7) & ~std::uint64_t{7};
  std::uint64_t added = 0;
  int sends = 0;
  int received = 0;
  int posted_receives = 0;
  int sent = 0;
  int completed = 0;
  bool in_order = true;
  std::vector<std::uint32_t> expected_sizes;

  const auto post_one = [&] {
    const auto size = static_cast<std::uint32_t>(rng.below(9000));
    const std::uint64_t at = rng.below(kRegion - size);
    SendRequest request{.wr_id = static_cast<std::uint64_t>(sent),
                        .flags = SendFlags::kSignaled | SendFlags::kFence,
                        .remote_address = Node::address_of(target) + at,
                        .rkey = to.key};
    Sge sge{Node::address_of(source) + at, size, from.key};
    switch (rng.below(4)) {
      case 0:
        request.opcode = SendOpcode::kSendImm;
        request.immediate = static_cast<std::uint32_t>(sends++);
        expected_sizes.push_back(size);
        break;
      case 1:
        request.opcode = SendOpcode::kWrite;
        std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(at), size,
                    model.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 2:
        request.opcode = SendOpcode::kRead;
        sge = {Node::address_of(back) + at, size, returned.key};
        break;
      default:
        request.opcode = SendOpcode::kFetchAdd;
        request.remote_address = word;
        request.rkey = words.key;
        request.compare_add = at + 1;
        added += at + 1;
        sge = {Node::address_of(back), 8, returned.key};
    }
    request.sges = {&sge, 1};
    ASSERT_EQ(net.a.context->post_send(left, request, net.now), Posted::kPosted);
    ++sent;
  };
  ByteVector sink(16384);
  const Sge hole{Node::address_of(sink), 16384, net.b.share(sink).key};
  const bool finished = net.run([&] {
    // A few receive requests at a time: now and then there is none, and the sender must wait.
    while (posted_receives < received + 3) {
      EXPECT_EQ(net.b.context->post_recv(right, {.sges = {&hole, 1}}, net.now), Posted::kPosted);
      ++posted_receives;
    }
    for (const Completion& completion : net.b.poll()) {
      in_order = in_order && completion.status == WcStatus::kSuccess &&
                 completion.immediate == static_cast<std::uint32_t>(received) &&
                 completion.byte_len == expected_sizes.at(static_cast<std::size_t>(received));
      ++received;
    }
    for (const Completion& completion : net.a.poll()) {
      EXPECT_EQ(completion.status, WcStatus::kSuccess) << static_cast<int>(completion.status);
      in_order = in_order && completion.wr_id == static_cast<std::uint64_t>(completed);
      ++completed;
    }
    while (sent < kMessages && sent < completed + 20) post_one();
    return completed == kMessages && received == sends;
  });
  EXPECT_TRUE(finished) << completed << " of " << sent << " completed, " << received << " of "
                        << sends << " received";
  EXPECT_TRUE(in_order);
  EXPECT_EQ(target, model);
  std::uint64_t total = 0;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the address of a buffer here
  std::memcpy(&total, reinterpret_cast<const void*>(word), 8);
  EXPECT_EQ(total, added) << "an atomic was executed twice, or not at all";
}

}  // namespace
}  // namespace tideline::rdma
