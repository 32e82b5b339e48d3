// SPDX-License-Identifier: Apache-2.0
#include "copy/windows.h"

#include <algorithm>
#include <utility>

#include "api/address.h"
#include "base/clock.h"
#include "base/memfd.h"
#include "engine/attachment.h"
#include "rdma/psn.h"

namespace tideline::app::copy {
namespace {

using M = rdma::QpMask;

// 4.096 us * 2^17, half a second, eight times: a peer that is busy has time, and one that is gone
// is found out in four seconds.
constexpr std::uint8_t kTimeout = 17;
constexpr std::uint8_t kRetries = 7;

std::uint32_t random_psn() {
  return static_cast<std::uint32_t>(engine::random_seed()) & rdma::Psn::kMask;
}

}  // namespace

Result<std::unique_ptr<Verbs>> Verbs::create(api::RdmaEngine& rdma) {
  std::unique_ptr<Verbs> verbs(new Verbs(rdma));
  auto pd = rdma.context().alloc_pd();
  if (!pd) return fail(std::move(pd.error()));
  verbs->pd_ = *pd;
  auto cq = rdma.context().create_cq(1024, &verbs->source_);
  if (!cq) return fail(std::move(cq.error()));
  verbs->cq_ = *cq;
  verbs->cq_->request_notification(rdma::CompletionQueue::Notify::kAny);
  return verbs;
}

// What is still in use of them goes with the device.
Verbs::~Verbs() {
  if (cq_ != nullptr) (void)rdma_.context().destroy_cq(*cq_);
  if (pd_ != nullptr) (void)rdma_.context().dealloc_pd(*pd_);
}

std::optional<rdma::Completion> Verbs::next() {
  std::array<rdma::Completion, 1> completion;
  if (cq_->poll(completion) == 1) return completion[0];
  cq_->request_notification(rdma::CompletionQueue::Notify::kAny);
  return std::nullopt;
}

Result<std::unique_ptr<Windows>> Windows::create(Verbs& verbs, rdma::Access access) {
  constexpr std::size_t kSize = std::size_t{kWindows} * kWindowSize;
  std::unique_ptr<Windows> windows(new Windows(verbs));
  auto fd = create_memfd("tideline-copy", kSize, PageKind::kNormal);
  if (!fd) return fail(std::move(fd.error()));
  windows->fd_ = std::move(*fd);
  auto memory = Mapping::map(windows->fd_.get(), kSize, tideline::Access::kReadWrite);
  if (!memory) return fail(std::move(memory.error()));
  windows->memory_ = std::move(*memory);
  const auto address = reinterpret_cast<std::uintptr_t>(windows->memory_.data());
  rdma::Context& context = verbs.rdma().context();
  auto region = context.register_region(
      verbs.pd(), {.address = address, .length = kSize, .iova = address, .access = access});
  if (!region) return fail(std::move(region.error()));
  windows->region_ = *region;
  auto qp = context.create_qp(
      verbs.pd(), {.type = rdma::QpType::kRc,
                   .send_cq = &verbs.cq(),
                   .recv_cq = &verbs.cq(),
                   .capacity = {.send_wr = kWindows, .recv_wr = 1, .send_sge = 1, .recv_sge = 1}});
  if (!qp) return fail(std::move(qp.error()));
  windows->qp_ = *qp;
  windows->psn_ = random_psn();
  return windows;
}

Windows::~Windows() {
  rdma::Context& context = verbs_.rdma().context();
  if (qp_ != nullptr) {
    const std::uint32_t number = qp_->number;
    (void)context.destroy_qp(*qp_);
    verbs_.cq().discard(number);
  }
  if (region_ != nullptr && !context.deregister_region(*region_)) {
    (void)std::make_unique<Mapping>(std::move(memory_)).release();
  }
}

QueuePairAddress Windows::here() const {
  return {.number = qp_->number,
          .psn = psn_,
          .mtu_bytes = rdma::bytes_of(verbs_.rdma().device().active_mtu())};
}

Status Windows::connect(const Stream& stream, const QueuePairAddress& peer) {
  const auto own_gid = verbs_.rdma().gid_index_of(stream.local());
  if (!own_gid) return fail({.what = "the host has no GID of " + stream.local().host()});
  auto mtu = verbs_.rdma().device().active_mtu();
  while (mtu > rdma::Mtu::k256 && rdma::bytes_of(mtu) > peer.mtu_bytes) {
    mtu = static_cast<rdma::Mtu>(static_cast<unsigned>(mtu) - 1);
  }
  const rdma::QpAttributes attributes{
      .access = rdma::Access::kRemoteWrite,
      .port = 1,
      .address = {.destination = rdma::Gid(stream.remote().address), .source_gid_index = *own_gid},
      .path_mtu = mtu,
      .timeout = kTimeout,
      .retry_count = kRetries,
      .receive_psn = peer.psn,
      .send_psn = psn_,
      .destination_qpn = peer.number};
  const auto modify = [&](rdma::QpState state, std::uint32_t mask) {
    rdma::QpAttributes wanted = attributes;
    wanted.state = state;
    return verbs_.rdma().context().modify_qp(*qp_, wanted, mask | M::kState, monotonic_now());
  };
  if (Status s = modify(rdma::QpState::kInit, M::kPkeyIndex | M::kPort | M::kAccess); !s) return s;
  if (Status s =
          modify(rdma::QpState::kRtr, M::kAddress | M::kPathMtu | M::kDestinationQpn |
                                          M::kReceivePsn | M::kMaxDestRdAtomic | M::kMinRnrTimer);
      !s) {
    return s;
  }
  return modify(rdma::QpState::kRts,
                M::kTimeout | M::kRetryCount | M::kRnrRetry | M::kSendPsn | M::kMaxRdAtomic);
}

Status Windows::write(std::uint32_t index, std::uint32_t length, std::uint64_t remote,
                      std::uint32_t rkey) {
  const std::array sges{rdma::Sge{.address = region_->iova + std::size_t{index} * kWindowSize,
                                  .length = length,
                                  .lkey = region_->key}};
  const rdma::SendRequest request{.wr_id = index,
                                  .opcode = rdma::SendOpcode::kWrite,
                                  .flags = rdma::SendFlags::kSignaled,
                                  .sges = sges,
                                  .remote_address = remote,
                                  .rkey = rkey};
  const rdma::Posted posted = verbs_.rdma().context().post_send(*qp_, request, monotonic_now());
  if (posted == rdma::Posted::kPosted) return {};
  return fail({.kind = ErrorKind::kPeer, .what = "the queue pair takes no more requests"});
}

}  // namespace tideline::app::copy
