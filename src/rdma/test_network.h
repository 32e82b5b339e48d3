// SPDX-License-Identifier: Apache-2.0
// Two hosts with an RDMA device each and a link between them, in virtual time: for tests, fuzzers
// and benchmarks. The link loses, delays, reorders and duplicates by a seed. It is a wire, on which
// packets are bytes with an ICRC, or a segment that hands frames over as they were made.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/fault_handler.h"
#include "base/random.h"
#include "ip/stack.h"
#include "packet/checksum.h"
#include "packet/copy.h"
#include "packet/roce_segmenter.h"
#include "rdma/context.h"
#include "rdma/device.h"
#include "wire/roce.h"
#include "wire/test_bytes.h"

namespace tideline::rdma {

using wire::ByteVector;

struct LinkOptions {
  double loss = 0;
  double duplicate = 0;
  double reorder = 0;  // probability of an extra delay
  Duration delay = std::chrono::microseconds(5);
  Duration extra = std::chrono::microseconds(50);
  bool segmented = true;  // a wire
  bool six = false;
  bool v1 = false;  // RoCE v1
  std::uint16_t mtu = 1500;
  std::uint64_t seed = 1;
};

class Network;

class Node final : public ip::Output, public ip::Events, public EventSink, public KeySource {
 public:
  Node(Network& network, unsigned number, const LinkOptions& options)
      : network_(network),
        number_(number),
        pool(packet::Pool::create({.segments = 4096, .huge_pages = false}).value()),
        rng(options.seed * 2 + number),
        stack({.mac = wire::MacAddress({2, 0, 0, 0, 0, static_cast<std::uint8_t>(number)}),
               .mtu = options.mtu,
               .ndp = {.duplicate_probes = 0},
               .address_probe = {.probes = 0, .announcements = 1}},
              *pool, rng, *this, *this),
        device(
            {.link_mtu = options.mtu, .lids = LidNetwork(wire::Ipv4Prefix{address4(number), 24})},
            stack, *pool, rng, *this) {
    EXPECT_TRUE(install_fault_handlers());
    EXPECT_TRUE(stack.add_address(wire::Ipv4Prefix{address4(number), 24}, {}));
    EXPECT_TRUE(stack.add_address(wire::Ipv6Prefix{address6(number), 64}, {}));
    stack.udp().set_tunnel(wire::kRocePort, &device);
    device.gids().add({.gid = wire::Ipv6Address::mapped(address4(number))});
    device.gids().add({.gid = address6(number)});
    device.gids().add_v1();
    stack.grh().set_handler(&device);
    context = &device.open(memory, *this);
    pd = context->alloc_pd().value();
    cq = context->create_cq(4096).value();
  }

  static wire::Ipv4Address address4(unsigned number) {
    return {192, 0, 2, static_cast<std::uint8_t>(number)};
  }
  static wire::Ipv6Address address6(unsigned number) {
    return wire::Ipv6Address(0x20010db800000000, number);
  }

  Gid gid(std::size_t index) const {
    const auto& entry = device.gids().at(index);
    return entry ? entry->gid : Gid();
  }

  // Registers a buffer for everything.
  MemoryRegion& share(ByteVector& buffer) {
    return *context
                ->register_region(
                    *pd, {.address = address_of(buffer),
                          .length = buffer.size(),
                          .iova = address_of(buffer),
                          .access = Access::kLocalWrite | Access::kRemoteWrite |
                                    Access::kRemoteRead | Access::kRemoteAtomic | Access::kMwBind})
                .value();
  }
  static std::uint64_t address_of(const ByteVector& buffer) {
    return reinterpret_cast<std::uint64_t>(buffer.data());
  }

  QueuePair& create(QpType type, SharedReceiveQueue* srq = nullptr) {
    return *context
                ->create_qp(*pd, {.type = type,
                                  .send_cq = cq,
                                  .recv_cq = cq,
                                  .srq = srq,
                                  .capacity = {.send_wr = 256,
                                               .recv_wr = 256,
                                               .send_sge = 4,
                                               .recv_sge = 4,
                                               .inline_data = 128}})
                .value();
  }

  std::vector<Completion> poll() {
    std::vector<Completion> all(256);
    all.resize(cq->poll(all));
    completions += all.size();
    return all;
  }

  void transmit(packet::PacketPtr frame, Instant now) override;
  void completion(CompletionQueue& /*queue*/) override { ++announced; }
  void asynchronous(const AsyncEvent& event) override { events.push_back(event.type); }
  std::uint32_t next_key() override { return static_cast<std::uint32_t>(rng()); }

 private:
  Network& network_;
  unsigned number_;

 public:
  std::unique_ptr<packet::Pool> pool;
  Rng rng;
  ip::Stack stack;
  GuardedMemory memory;
  Device device;
  Context* context = nullptr;
  ProtectionDomain* pd = nullptr;
  CompletionQueue* cq = nullptr;
  std::vector<EventType> events;
  std::size_t completions = 0;
  std::atomic<int> announced{0};
};

// How a connection is made; what a test cares about it changes.
struct Connection {
  Mtu mtu = Mtu::k1024;
  std::uint8_t timeout = 8;  // about 1 ms
  std::uint8_t retry_count = 7;
  std::uint8_t rnr_retry = 7;
  std::uint8_t min_rnr_timer = 1;
  std::uint8_t rd_atomic = 4;
  std::uint32_t psn = 0xfffff0;  // wraps soon
};

class Network {
 public:
  explicit Network(const LinkOptions& options = {})
      : options_(options), rng_(options.seed), a(*this, 1, options), b(*this, 2, options) {
    meet();
  }

  Node& other(unsigned number) { return number == 1 ? b : a; }

  // A frame of `from` on its way.
  void carry(unsigned from, packet::PacketPtr frame) {
    if (options_.segmented && frame->meta().offload.gso == packet::Gso::kRoce) {
      auto cut = packet::RoceSegmenter::create(std::move(frame));
      if (!cut) {
        ADD_FAILURE() << "a frame that cannot be cut";
        return;
      }
      Node& node = from == 1 ? a : b;
      while (!cut->done()) {
        packet::PacketPtr packet = cut->next(*node.pool, passes_);
        ASSERT_NE(packet, nullptr);
        launch(from, *packet);
      }
      return;
    }
    if (frame->meta().offload.gso == packet::Gso::kNone) {
      ASSERT_TRUE(packet::complete_checksum(*frame, passes_));
    }
    launch(from, *frame);
  }

  // Runs until `done`, or for a minute of virtual time.
  bool run(const std::function<bool()>& done) {
    const Instant end = now + std::chrono::minutes(1);
    for (int idle = 0; now < end;) {
      work();
      if (done()) return true;
      if (a.device.has_work() || b.device.has_work()) continue;
      const Instant next = next_deadline();
      if (next == kNever || ++idle > 10'000'000) return done();
      now = std::max(now, next);
    }
    return false;
  }
  void settle() {
    run([] { return false; });
  }

  QueuePair& connected(QueuePair& left, QueuePair& right, const Connection& c = {}) {
    bring_up(a, left, right.number, c);
    bring_up(b, right, left.number, c);
    return left;
  }

  void bring_up(Node& node, QueuePair& qp, std::uint32_t peer, const Connection& c) {
    using M = QpMask;
    const std::size_t index = (options_.six ? 1 : 0) + (options_.v1 ? GidTable::kFirstV1 : 0);
    const Node& far = &node == &a ? b : a;
    QpAttributes attributes{
        .state = QpState::kInit,
        .access = Access::kRemoteRead | Access::kRemoteWrite | Access::kRemoteAtomic,
        .port = 1,
        .qkey = 0x1234,
        .address = {.destination = far.gid(index),
                    .source_gid_index = static_cast<std::uint8_t>(index)},
        .path_mtu = c.mtu,
        .timeout = c.timeout,
        .retry_count = c.retry_count,
        .rnr_retry = c.rnr_retry,
        .min_rnr_timer = c.min_rnr_timer,
        .receive_psn = c.psn,
        .send_psn = c.psn,
        .max_rd_atomic = c.rd_atomic,
        .max_dest_rd_atomic = c.rd_atomic,
        .destination_qpn = peer};
    const bool rc = qp.init.type == QpType::kRc;
    const bool ud = qp.init.type == QpType::kUd;
    const auto step = [&](QpState state, std::uint32_t mask) {
      attributes.state = state;
      const Status changed = node.context->modify_qp(qp, attributes, M::kState | mask, now);
      ASSERT_TRUE(changed) << changed.error().message();
    };
    step(QpState::kInit, M::kPkeyIndex | M::kPort | (ud ? M::kQkey : M::kAccess));
    std::uint32_t rtr = 0;
    if (!ud) rtr = M::kAddress | M::kPathMtu | M::kDestinationQpn | M::kReceivePsn;
    if (rc) rtr |= M::kMaxDestRdAtomic | M::kMinRnrTimer;
    step(QpState::kRtr, rtr);
    std::uint32_t rts = M::kSendPsn;
    if (rc) rts |= M::kTimeout | M::kRetryCount | M::kRnrRetry | M::kMaxRdAtomic;
    step(QpState::kRts, rts);
  }

  // One turn of both engines, now.
  void work() {
    while (!flying_.empty() && flying_.begin()->first <= now) {
      Flight flight = std::move(flying_.begin()->second);
      flying_.erase(flying_.begin());
      Node& to = other(flight.from);
      packet::PacketPtr frame = packet::copy_of(flight.bytes, *to.pool, passes_);
      ASSERT_NE(frame, nullptr);
      frame->meta().offload = flight.offload;
      to.stack.receive(std::move(frame), now);
      to.device.run(now);
    }
    for (Node* node : {&a, &b}) {
      node->stack.run_timers(now);
      node->device.run(now);
    }
  }

 private:
  struct Flight {
    unsigned from;
    ByteVector bytes;
    packet::Offload offload;
  };

  void launch(unsigned from, const packet::Packet& frame) {
    if (filter && !filter(from, frame)) return;
    if (!clean_ && rng_.unit() < options_.loss) return;
    const int copies = !clean_ && rng_.unit() < options_.duplicate ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      Instant due = now + options_.delay;
      if (!clean_ && rng_.unit() < options_.reorder) {
        due += Duration(static_cast<std::int64_t>(
            rng_.below(static_cast<std::uint64_t>(options_.extra.count()))));
      }
      Flight flight{
          .from = from, .bytes = ByteVector(frame.size()), .offload = frame.meta().offload};
      packet::copy_out(frame, 0, flight.bytes, passes_);
      flying_.emplace(due, std::move(flight));
    }
  }

  // Both learn each other's MAC while nothing is lost.
  void meet() {
    clean_ = true;
    for (const bool six : {false, true}) {
      const auto to = six ? Node::address6(2) : wire::Ipv6Address::mapped(Node::address4(2));
      EXPECT_TRUE(a.stack.ping(a.pool->get(), to, 1, 1, now));
    }
    const Instant end = now + std::chrono::milliseconds(10);
    run([&] { return now >= end || flying_.empty(); });
    settle_flights();
    clean_ = false;
  }
  void settle_flights() {
    while (!flying_.empty()) {
      now = std::max(now, flying_.begin()->first);
      work();
    }
  }

  Instant next_deadline() const {
    Instant next = std::min(a.device.next_deadline(), b.device.next_deadline());
    if (!flying_.empty()) next = std::min(next, flying_.begin()->first);
    return next;
  }

  LinkOptions options_;
  Rng rng_;
  std::multimap<Instant, Flight> flying_;
  packet::PassCounter passes_;
  bool clean_ = false;

 public:
  Instant now{std::chrono::seconds(1)};
  // Looks at each frame on the link, and loses those for which it says false.
  std::function<bool(unsigned from, const packet::Packet& frame)> filter;
  Node a;
  Node b;
};

inline void Node::transmit(packet::PacketPtr frame, Instant /*now*/) {
  network_.carry(number_, std::move(frame));
}

inline ByteVector random_bytes(std::size_t size, std::uint64_t seed) {
  Rng rng(seed);
  ByteVector bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(rng());
  return bytes;
}

}  // namespace tideline::rdma
