// SPDX-License-Identifier: Apache-2.0
// From post_send to the completion, in one process: two devices on one thread whose packets change
// hands as they are, without IP. What the transport itself costs, beside a memcpy of the same
// bytes.
#include <benchmark/benchmark.h>

#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/fault_handler.h"
#include "rdma/context.h"
#include "rdma/device.h"
#include "wire/udp.h"

namespace tideline::rdma {
namespace {

constexpr std::size_t kWindow = 16;  // requests posted at a time

class Side final : public ip::Sender, public EventSink, public KeySource {
 public:
  explicit Side(std::uint64_t number)
      : pool(packet::Pool::create({.segments = 16384}).value()),
        rng(number),
        address(0x20010db800000000, number),
        device({.link_mtu = 4200}, *this, *pool, rng, *this),
        buffer(kWindow << 16) {
    device.gids().add({.gid = address});
    context = &device.open(memory, *this);
    pd = context->alloc_pd().value();
    cq = context->create_cq(256).value();
    region = context
                 ->register_region(*pd, {.address = base(),
                                         .length = buffer.size(),
                                         .iova = base(),
                                         .access = Access::kLocalWrite | Access::kRemoteWrite |
                                                   Access::kRemoteRead})
                 .value();
    qp = context
             ->create_qp(*pd,
                         {.type = QpType::kRc,
                          .send_cq = cq,
                          .recv_cq = cq,
                          .capacity = {.send_wr = 64, .recv_wr = 64, .send_sge = 1, .recv_sge = 1}})
             .value();
  }

  void connect(const Side& peer) {
    using M = QpMask;
    QpAttributes attributes{.state = QpState::kInit,
                            .access = Access::kRemoteWrite | Access::kRemoteRead,
                            .port = 1,
                            .address = {.destination = peer.address},
                            .path_mtu = Mtu::k4096,
                            .retry_count = 7,
                            .rnr_retry = 7,
                            .max_rd_atomic = 16,
                            .max_dest_rd_atomic = 16,
                            .destination_qpn = peer.qp->number};
    const auto modify = [&](QpState state, std::uint32_t mask) {
      attributes.state = state;
      CHECK(context->modify_qp(*qp, attributes, mask | M::kState, {}).has_value());
    };
    modify(QpState::kInit, M::kPkeyIndex | M::kPort | M::kAccess);
    modify(QpState::kRtr, M::kAddress | M::kPathMtu | M::kDestinationQpn | M::kReceivePsn |
                              M::kMaxDestRdAtomic | M::kMinRnrTimer);
    modify(QpState::kRts,
           M::kTimeout | M::kRetryCount | M::kRnrRetry | M::kSendPsn | M::kMaxRdAtomic);
  }

  // Hands what was sent to the other side.
  bool deliver_to(Side& peer) {
    if (wire.empty()) return false;
    while (!wire.empty()) {
      packet::PacketPtr frame = std::move(wire.front());
      wire.pop_front();
      ip::Datagram datagram{.source = address, .destination = peer.address};
      datagram.layout.payload = sizeof(wire::UdpHeader);
      datagram.layout.end = static_cast<std::uint32_t>(frame->size());
      datagram.layout.ip_version = 6;
      peer.device.receive(std::move(frame), datagram, {});
    }
    peer.device.run({});
    return true;
  }

  std::uint64_t base() const { return reinterpret_cast<std::uint64_t>(buffer.data()); }

  ip::Sent send(packet::PacketPtr frame, const ip::Departure& /*departure*/,
                Instant /*now*/) override {
    wire.push_back(std::move(frame));
    return {};
  }
  void completion(CompletionQueue& /*queue*/) override {}
  void asynchronous(const AsyncEvent& /*event*/) override { CHECK(false, "an event"); }
  std::uint32_t next_key() override { return static_cast<std::uint32_t>(rng()); }

  std::unique_ptr<packet::Pool> pool;
  Rng rng;
  wire::Ipv6Address address;
  GuardedMemory memory;
  std::deque<packet::PacketPtr> wire;
  Device device;
  std::vector<std::byte> buffer;
  Context* context = nullptr;
  ProtectionDomain* pd = nullptr;
  CompletionQueue* cq = nullptr;
  MemoryRegion* region = nullptr;
  QueuePair* qp = nullptr;
};

void one_sided(benchmark::State& state, SendOpcode opcode) {
  CHECK(install_fault_handlers().has_value());
  const auto size = static_cast<std::uint32_t>(state.range(0));
  Side left(1);
  Side right(2);
  left.connect(right);
  right.connect(left);
  std::array<Completion, kWindow> completions;
  for (auto _ : state) {
    for (std::size_t i = 0; i < kWindow; ++i) {
      const Sge sge{left.base() + i * size, size, left.region->key};
      const Posted posted = left.context->post_send(*left.qp,
                                                    {.opcode = opcode,
                                                     .flags = SendFlags::kSignaled,
                                                     .sges = {&sge, 1},
                                                     .remote_address = right.base() + i * size,
                                                     .rkey = right.region->key},
                                                    {});
      CHECK(posted == Posted::kPosted);
    }
    left.device.run({});
    std::size_t done = 0;
    while ((done += left.cq->poll(completions)) < kWindow) {
      const bool moved = left.deliver_to(right);
      CHECK(right.deliver_to(left) || moved, "{} of {} have completed", done, kWindow);
    }
    CHECK(completions[0].status == WcStatus::kSuccess);
  }
  const auto count = static_cast<std::int64_t>(kWindow) * state.iterations();
  state.SetItemsProcessed(count);
  state.SetBytesProcessed(count * state.range(0));
}

void write(benchmark::State& state) { one_sided(state, SendOpcode::kWrite); }
void read(benchmark::State& state) { one_sided(state, SendOpcode::kRead); }

void copy(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  std::vector<std::byte> from(kWindow * size);
  std::vector<std::byte> to(kWindow * size);
  for (auto _ : state) {
    for (std::size_t i = 0; i < kWindow; ++i) {
      std::memcpy(to.data() + i * size, from.data() + i * size, size);
      benchmark::ClobberMemory();
    }
  }
  const auto count = static_cast<std::int64_t>(kWindow) * state.iterations();
  state.SetItemsProcessed(count);
  state.SetBytesProcessed(count * state.range(0));
}

BENCHMARK(write)->Arg(8)->Arg(4096)->Arg(65536);
BENCHMARK(read)->Arg(8)->Arg(4096)->Arg(65536);
BENCHMARK(copy)->Arg(8)->Arg(4096)->Arg(65536);

}  // namespace
}  // namespace tideline::rdma
