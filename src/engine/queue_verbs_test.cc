// SPDX-License-Identifier: Apache-2.0
// Verbs behind a queue pair, from programs that write anything anywhere: other programs never
// notice, and when they have gone nothing of theirs is left.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>

#include "base/random.h"
#include "engine/queue_test_client.h"
#include "engine/rdma_service.h"
#include "queue/verbs.h"
#include "rdma/device.h"

namespace tideline::engine {
namespace {

using queue::VerbsOp;
using queue::VerbsRequest;
using queue::VerbsResponse;

class QueueVerbs : public testing::Test {
 protected:
  QueueVerbs() {
    rdma::DeviceOptions options{.node_guid = 1, .link_mtu = 1500};
    device_.emplace(options, engine_.worker().host()->stack(), engine_.worker().pool(), rng_,
                    keys_);
    device_->gids().add({.gid = kOwn});
    engine_.server().serve_rdma(*device_);
  }
  ~QueueVerbs() override {
    engine_.server().leave_rdma();
    device_.reset();
  }

  VerbsResponse call(RawClient& client, const VerbsRequest& request) {
    client.memory().call.verbs_request = request;
    client.call({.op = queue::Op::kVerbs});
    return client.memory().call.verbs_response;
  }
  // A device, a domain, a completion queue and a queue pair, with handles 1, 2, 3, 4.
  VerbsResponse open_all(RawClient& client) {
    EXPECT_EQ(call(client, {.op = VerbsOp::kOpen}).handle, 1U);
    EXPECT_EQ(call(client, {.op = VerbsOp::kAllocPd, .handle = 1}).handle, 2U);
    EXPECT_EQ(call(client, {.op = VerbsOp::kCreateCq, .handle = 1, .number = 16}).handle, 3U);
    VerbsRequest qp{.op = VerbsOp::kCreateQp, .type = 2, .handle = 2, .second = 3, .third = 3};
    qp.capacity = {.send_wr = 16, .recv_wr = 16, .send_sge = 2, .recv_sge = 2, .inline_data = 64};
    const VerbsResponse made = call(client, qp);
    EXPECT_EQ(made.error, 0U);
    EXPECT_EQ(made.handle, 4U);
    return made;
  }
  bool is_empty() {
    const rdma::DeviceStatus now = device_->status();
    return now.pds + now.regions + now.cqs + now.srqs + now.ahs + now.qps == 0;
  }

  TestEngine engine_;
  RandomKeys keys_;
  Rng rng_{7};
  std::optional<rdma::Device> device_;
};

TEST_F(QueueVerbs, ObjectsGoWithTheirProgram) {
  RawClient client(engine_);
  ASSERT_TRUE(client.greet());
  open_all(client);
  EXPECT_EQ(device_->status().qps, 1U);
  // What something needs stays.
  EXPECT_EQ(call(client, {.op = VerbsOp::kDestroy, .handle = 3}).error, unsigned{EBUSY});
  EXPECT_EQ(call(client, {.op = VerbsOp::kDestroy, .handle = 2}).error, unsigned{EBUSY});
  client.die();
  EXPECT_TRUE(engine_.until([&] { return is_empty() && engine_.server().clients() == 0; }));
}

TEST_F(QueueVerbs, QuotasHold) {
  engine_.policy().most_queue_pairs = 1;
  engine_.policy().most_registered = 4096;
  RawClient client(engine_);
  ASSERT_TRUE(client.greet());
  open_all(client);
  VerbsRequest qp{.op = VerbsOp::kCreateQp, .type = 2, .handle = 2, .second = 3, .third = 3};
  qp.capacity = {.send_wr = 1, .recv_wr = 1, .send_sge = 1, .recv_sge = 1};
  EXPECT_EQ(call(client, qp).error, unsigned{ENOMEM});
  // Nothing of its memory is in reach: it has given none.
  VerbsRequest region{.op = VerbsOp::kRegister, .handle = 2, .access = 1};
  region.address = 4096;
  region.length = 4096;
  EXPECT_EQ(call(client, region).error, unsigned{EACCES});
}

TEST_F(QueueVerbs, TheQuotaOfRegisteredBytesHolds) {
  constexpr std::uint64_t kHeap = 1 << 20;
  engine_.policy().most_registered = 8192;
  RawClient client(engine_);
  ASSERT_TRUE(client.greet());
  open_all(client);
  ASSERT_TRUE(client.tell(queue::WishMessage{.wish = queue::Wish::kHeap}));
  client.hint(0);
  queue::WishAnswer heap;
  EXPECT_EQ(client.hear(heap).size(), 1U);
  EXPECT_EQ(call(client, {.op = VerbsOp::kHeapAt, .address = kHeap}).error, 0U);
  const auto register_bytes = [&](std::uint64_t length) {
    return call(client, {.op = VerbsOp::kRegister,
                         .handle = 2,
                         .access = 1,
                         .address = kHeap,
                         .length = length,
                         .iova = kHeap});
  };
  EXPECT_NE(register_bytes(8193).error, 0U);
  const VerbsResponse first = register_bytes(4096);
  EXPECT_EQ(first.error, 0U);
  EXPECT_EQ(register_bytes(4096).error, 0U);
  EXPECT_EQ(register_bytes(1).error, unsigned{ENOMEM});
  EXPECT_EQ(call(client, {.op = VerbsOp::kDestroy, .handle = first.handle}).error, 0U);
  EXPECT_EQ(register_bytes(4096).error, 0U);
}

TEST_F(QueueVerbs, AnIndexThatCannotBeEndsTheChannelAlone) {
  RawClient other(engine_);
  ASSERT_TRUE(other.greet());
  open_all(other);
  RawClient client(engine_);
  ASSERT_TRUE(client.greet());
  const VerbsResponse made = open_all(client);
  auto family = client.open().family;
  auto* indices =
      reinterpret_cast<queue::WorkIndices*>(family->bytes().subspan(made.place.offset).data());
  indices->written.store(17);
  client.hint(queue::verbs_hint(4));
  EXPECT_TRUE(engine_.until([&] { return client.is_ended(); }));
  EXPECT_EQ(engine_.server().ended(EndReason::kBadRing), 1U);
  EXPECT_EQ(call(other, {.op = VerbsOp::kQueryQp, .handle = 4}).error, 0U);
}

TEST_F(QueueVerbs, GarbageInRingsHurtsNobodyElse) {
  RawClient other(engine_);
  ASSERT_TRUE(other.greet());
  open_all(other);
  for (int round = 0; round < 30; ++round) {
    RawClient client(engine_);
    ASSERT_TRUE(client.greet());
    const VerbsResponse made = open_all(client);
    VerbsRequest to_init{.op = VerbsOp::kModifyQp, .handle = 4};
    to_init.mask = rdma::QpMask::kState | rdma::QpMask::kPkeyIndex | rdma::QpMask::kPort |
                   rdma::QpMask::kAccess;
    to_init.attributes.state = 1;
    to_init.attributes.port = 1;
    EXPECT_EQ(call(client, to_init).error, 0U);
    auto family = client.open().family;
    const auto piece = family->bytes().subspan(made.place.offset, made.place.size);
    for (int times = 0; times < 50 && !client.is_ended(); ++times) {
      for (std::byte& each : piece.subspan(queue::kWorkSlots)) {
        each = static_cast<std::byte>(rng_());
      }
      auto* indices = reinterpret_cast<queue::WorkIndices*>(piece.data());
      for (int ring = 0; ring < 2; ++ring)
        indices[ring].written.fetch_add(static_cast<std::uint32_t>(rng_() % 4));
      client.hint(queue::verbs_hint(4));
      engine_.turns(3);
    }
    client.die();
    EXPECT_TRUE(engine_.until([&] { return engine_.server().clients() == 1; }));
  }
  EXPECT_EQ(call(other, {.op = VerbsOp::kQueryQp, .handle = 4}).error, 0U);
  EXPECT_EQ(device_->status().qps, 1U);
}

TEST_F(QueueVerbs, GarbageInCallsHurtsNobodyElse) {
  RawClient other(engine_);
  ASSERT_TRUE(other.greet());
  open_all(other);
  auto client = std::make_unique<RawClient>(engine_);
  ASSERT_TRUE(client->greet());
  for (int i = 0; i < 5000; ++i) {
    VerbsRequest request;
    std::array<std::byte, sizeof(request)> bytes;
    for (std::byte& each : bytes) each = static_cast<std::byte>(rng_());
    std::memcpy(&request, bytes.data(), sizeof(request));
    request.op = static_cast<VerbsOp>(rng_() % 22);
    // Often what could be.
    for (std::uint32_t* handle :
         {&request.handle, &request.second, &request.third, &request.fourth, &request.number}) {
      if (rng_() % 4 != 0) *handle = static_cast<std::uint32_t>(rng_() % 12);
    }
    request.type = static_cast<std::uint16_t>(rng_() % 5);
    if (rng_() % 2 == 0) {
      request.capacity = {.send_wr = 4, .recv_wr = 4, .send_sge = 1, .recv_sge = 1};
    }
    call(*client, request);
    if (!client->is_ended()) continue;
    client = std::make_unique<RawClient>(engine_);
    ASSERT_TRUE(client->greet());
  }
  client->die();
  EXPECT_TRUE(engine_.until([&] { return engine_.server().clients() == 1; }));
  EXPECT_EQ(call(other, {.op = VerbsOp::kQueryQp, .handle = 4}).error, 0U);
  EXPECT_EQ(device_->status().qps, 1U);
}

}  // namespace
}  // namespace tideline::engine
