// SPDX-License-Identifier: Apache-2.0
// What a hostile peer may send to queue pairs that have work of their own: requests to responders,
// responses to requesters, in any order and state. The input is a list of steps; packets are built
// from its bytes, with keys, addresses and sequence numbers near the right ones, so that they get
// past the first checks. Memory around the registered region must stay as it was.
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <vector>

#include "base/check.h"
#include "base/fault_handler.h"
#include "input.h"
#include "packet/copy.h"
#include "rdma/context.h"
#include "rdma/device.h"
#include "wire/roce.h"

namespace tideline::rdma {
namespace {

constexpr std::size_t kRegion = 8192;
constexpr std::size_t kGuard = 4096;
constexpr wire::Ipv6Address kOurs(0x20010db800000000, 1);
constexpr wire::Ipv6Address kPeer(0x20010db800000000, 2);

class Target final : private ip::Sender, private EventSink, private KeySource {
 public:
  explicit Target(Input& input)
      : input_(input),
        device_({.limits = {.max_qp = 8, .max_regions = 16}, .link_mtu = 1500}, *this, pool(), rng_,
                *this),
        memory_(kGuard + kRegion + kGuard, std::byte{0xa5}) {
    device_.gids().add({.gid = kOurs});
    context_ = &device_.open(access_, *this);
    pd_ = context_->alloc_pd().value();
    cq_ = context_->create_cq(256).value();
    region_ = context_
                  ->register_region(*pd_, {.address = base(),
                                           .length = kRegion,
                                           .iova = base(),
                                           .access = Access::kLocalWrite | Access::kRemoteWrite |
                                                     Access::kRemoteRead | Access::kRemoteAtomic})
                  .value();
    for (const QpType type : {QpType::kRc, QpType::kRc, QpType::kUc, QpType::kUd}) create(type);
  }

  void run() {
    while (!input_.empty()) {
      QueuePair& qp = *qps_[input_.byte() % qps_.size()];
      switch (input_.byte() % 8) {
        case 0:
          post_send(qp);
          break;
        case 1:
          post_receive(qp);
          break;
        case 2:
          now_ += std::chrono::microseconds(input_.word());
          break;
        case 3:
          region_->valid = !region_->valid;
          break;
        default:
          packet(qp);
      }
      device_.run(now_, 64);
      std::array<Completion, 16> completions;
      while (cq_->poll(completions) > 0) continue;
    }
    const auto untouched = [](std::byte byte) { return byte == std::byte{0xa5}; };
    CHECK(std::all_of(memory_.begin(), memory_.begin() + kGuard, untouched));
    CHECK(std::all_of(memory_.end() - kGuard, memory_.end(), untouched));
  }

 private:
  static packet::Pool& pool() {
    static const auto kPool = packet::Pool::create({.segments = 512, .huge_pages = false}).value();
    return *kPool;
  }
  std::uint64_t base() const { return reinterpret_cast<std::uint64_t>(memory_.data()) + kGuard; }

  void create(QpType type) {
    QueuePair& qp =
        *context_
             ->create_qp(*pd_,
                         {.type = type,
                          .send_cq = cq_,
                          .recv_cq = cq_,
                          .capacity = {.send_wr = 8, .recv_wr = 8, .send_sge = 2, .recv_sge = 2}})
             .value();
    using M = QpMask;
    QpAttributes attributes{
        .state = QpState::kInit,
        .access = Access::kRemoteRead | Access::kRemoteWrite | Access::kRemoteAtomic,
        .port = 1,
        .address = {.destination = kPeer},
        .path_mtu = Mtu::k256,
        .timeout = 8,
        .retry_count = 3,
        .rnr_retry = 3,
        .receive_psn = kPsn,
        .send_psn = kPsn,
        .max_rd_atomic = 2,
        .max_dest_rd_atomic = 2,
        .destination_qpn = 17};
    const bool rc = type == QpType::kRc;
    const bool ud = type == QpType::kUd;
    const auto modify = [&](QpState state, std::uint32_t mask) {
      attributes.state = state;
      CHECK(context_->modify_qp(qp, attributes, mask | M::kState, now_).has_value());
    };
    constexpr std::uint32_t kConnect =
        M::kAddress | M::kPathMtu | M::kDestinationQpn | M::kReceivePsn;
    modify(QpState::kInit, M::kPkeyIndex | M::kPort | (ud ? M::kQkey : M::kAccess));
    modify(QpState::kRtr, (ud ? 0 : kConnect) | (rc ? M::kMaxDestRdAtomic | M::kMinRnrTimer : 0));
    modify(QpState::kRts,
           M::kSendPsn | (rc ? M::kTimeout | M::kRetryCount | M::kRnrRetry | M::kMaxRdAtomic : 0));
    qps_.push_back(&qp);
  }

  // Mostly within the region.
  std::uint64_t address() {
    const std::uint32_t word = input_.word();
    return base() + (word % 5 == 0 ? std::uint64_t{word} * word * word : word % kRegion);
  }
  Sge piece() {
    const std::uint32_t length = input_.word() % 2000;
    return {address(), length, input_.byte() % 16 == 0 ? 1 : region_->key};
  }

  void post_send(QueuePair& qp) {
    const std::array sges{piece(), piece()};
    context_->post_send(qp,
                        {.opcode = static_cast<SendOpcode>(input_.byte() % 10),
                         .flags = input_.byte() & 7U,
                         .immediate = region_->key,
                         .sges = std::span(sges).first(input_.byte() % 3),
                         .remote_address = 4096,
                         .rkey = 5},
                        now_);
  }
  void post_receive(QueuePair& qp) {
    const std::array sges{piece(), piece()};
    context_->post_recv(qp, {.sges = std::span(sges).first(input_.byte() % 3)}, now_);
  }

  void packet(QueuePair& qp) {
    const std::uint8_t base_code = qp.init.type == QpType::kRc   ? 0
                                   : qp.init.type == QpType::kUc ? 0x20
                                                                 : 0x60;
    wire::Roce roce{.opcode = static_cast<std::uint8_t>(base_code | (input_.byte() & 0x1fU)),
                    .qp = qp.number};
    if (!roce.info().valid()) return;
    const bool response = roce.info().is_response();
    const Psn expected = response ? qp.requester.una : qp.responder.expected_psn;
    const std::uint8_t delta = input_.byte();
    roce.psn = (delta < 192 ? expected : expected + delta - 224U).value();
    const std::uint8_t flags = input_.byte();
    roce.ack_request = (flags & 1U) != 0;
    roce.solicited = (flags & 2U) != 0;
    std::uint32_t size = roce.info().has_payload ? input_.word() % 1500 : 0;
    if ((flags & 4U) != 0) size = 256;
    roce.length = (flags & 8U) != 0 ? input_.word() : size;
    roce.rkey = (flags & 16U) != 0 ? input_.word() : region_->key;
    roce.invalidate_key = roce.rkey;
    roce.address = address();
    if ((flags & 32U) != 0) roce.address &= ~std::uint64_t{7};
    roce.syndrome = input_.byte();
    roce.pad =
        static_cast<std::uint8_t>((flags & 64U) != 0 ? input_.byte() & 3U : (4 - size % 4) % 4);
    std::vector<std::byte> bytes(roce.info().header_size + size + roce.pad + wire::kIcrcSize,
                                 std::byte{0x5a});
    wire::emit(roce, bytes);
    packet::PassCounter passes;
    packet::PacketPtr frame = packet::copy_of(bytes, pool(), passes);
    if (frame == nullptr) return;
    packet::Offload& offload = frame->meta().offload;
    offload.checksum = packet::Checksum::kNeeded;
    if ((flags & 128U) != 0) {
      offload.gso = packet::Gso::kRoce;
      offload.gso_size = 256;
    }
    ip::Datagram datagram{.source = kPeer, .destination = kOurs};
    datagram.layout.end = static_cast<std::uint32_t>(bytes.size());
    datagram.layout.ip_version = 6;
    device_.receive(std::move(frame), datagram, now_);
  }

  ip::Sent send(packet::PacketPtr /*packet*/, const ip::Departure& /*departure*/,
                Instant /*now*/) override {
    return {};
  }
  void completion(CompletionQueue& /*cq*/) override {}
  void asynchronous(const AsyncEvent& /*event*/) override {}
  std::uint32_t next_key() override { return static_cast<std::uint32_t>(rng_()); }

  static constexpr std::uint32_t kPsn = 0xfffffe;

  Input& input_;
  Rng rng_{1};
  GuardedMemory access_;
  Device device_;
  std::vector<std::byte> memory_;
  Instant now_{std::chrono::seconds(1)};
  Context* context_ = nullptr;
  ProtectionDomain* pd_ = nullptr;
  CompletionQueue* cq_ = nullptr;
  MemoryRegion* region_ = nullptr;
  std::vector<QueuePair*> qps_;
};

}  // namespace
}  // namespace tideline::rdma

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  CHECK(tideline::install_fault_handlers().has_value());
  tideline::Input input(data, size);
  tideline::rdma::Target(input).run();
  return 0;
}
