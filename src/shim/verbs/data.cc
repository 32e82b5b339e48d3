// SPDX-License-Identifier: Apache-2.0
// The data path: what programs call through ibv_context.ops without any symbol.
#include "shim/verbs/data.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <span>

#include "shim/verbs/engine.h"
#include "shim/verbs/idle_poll.h"
#include "shim/verbs/objects.h"

namespace tideline::shim::verbs {
namespace {

static_assert(sizeof(ibv_sge) == sizeof(rdma::Sge));
static_assert(offsetof(ibv_sge, addr) == offsetof(rdma::Sge, address));
static_assert(offsetof(ibv_sge, length) == offsetof(rdma::Sge, length));
static_assert(offsetof(ibv_sge, lkey) == offsetof(rdma::Sge, lkey));

std::span<const rdma::Sge> pieces(const ibv_sge* list, int count) {
  // The same layout, asserted above.
  return {reinterpret_cast<const rdma::Sge*>(list), static_cast<std::size_t>(count)};
}

// Room to take completions into, on the stack.
constexpr std::size_t kBurst = 32;

std::size_t take(Cq& cq, std::span<rdma::Completion> out) {
  if (cq.single_threaded) return cq.cq->poll(out);
  const std::scoped_lock lock(cq.lock);
  return cq.cq->poll(out);
}

}  // namespace

// Annex A17.4.5.1 has a completion say whether an IPv4 or an IPv6 header came with the message.
// Verbs have no field for it: ConnectX says it in the service level, which RoCE v2 does not have
// (bit 3: with UDP; 0: a GRH, 1: IPv6, 2: IPv4), and UCX reads it there.
std::uint8_t service_level(const rdma::Completion& completion) {
  switch (completion.header) {
    case rdma::NetworkHeader::kNone:
    case rdma::NetworkHeader::kGrh:
      return 0;
    case rdma::NetworkHeader::kIpv6:
      return 9;
    case rdma::NetworkHeader::kIpv4:
      return 10;
  }
  return 0;
}

namespace {

void tell(const rdma::Completion& from, ibv_wc& to) {
  to.wr_id = from.wr_id;
  to.status = static_cast<ibv_wc_status>(from.status);
  to.opcode = static_cast<ibv_wc_opcode>(from.opcode);
  to.vendor_err = from.vendor_error;
  to.byte_len = from.byte_len;
  to.imm_data = from.immediate;
  to.qp_num = from.qp_num;
  to.src_qp = from.src_qp;
  to.wc_flags = from.flags;
  to.pkey_index = from.pkey_index;
  to.slid = 0;
  to.sl = service_level(from);
  to.dlid_path_bits = 0;
}

int take_told(Cq& cq, int wanted, ibv_wc* wc) {
  if (cq.cq->size() == 0) return 0;  // most polls: without the lock
  int got = 0;
  while (got < wanted) {
    std::array<rdma::Completion, kBurst> burst;
    const auto room = std::min<std::size_t>(kBurst, static_cast<std::size_t>(wanted - got));
    const std::size_t taken = take(cq, std::span(burst).first(room));
    for (std::size_t i = 0; i < taken; ++i) tell(burst[i], wc[got++]);
    if (taken < room) break;
  }
  return got;
}

bool is_known(ibv_wr_opcode opcode) { return opcode <= IBV_WR_SEND_WITH_INV; }

rdma::SendRequest to_request(const ibv_send_wr& wr, ibv_qp_type type) {
  rdma::SendRequest request{.wr_id = wr.wr_id,
                            .opcode = static_cast<rdma::SendOpcode>(wr.opcode),
                            .flags = wr.send_flags,
                            .immediate = wr.imm_data,
                            .sges = pieces(wr.sg_list, wr.num_sge)};
  switch (wr.opcode) {
    case IBV_WR_ATOMIC_CMP_AND_SWP:
    case IBV_WR_ATOMIC_FETCH_AND_ADD:
      request.remote_address = wr.wr.atomic.remote_addr;
      request.rkey = wr.wr.atomic.rkey;
      request.compare_add = wr.wr.atomic.compare_add;
      request.swap = wr.wr.atomic.swap;
      break;
    case IBV_WR_BIND_MW:
      request.bind = to_binding(wr.bind_mw.mw, wr.bind_mw.rkey, wr.bind_mw.bind_info);
      break;
    default:
      if (type == IBV_QPT_UD) {
        request.ah = wr.wr.ud.ah == nullptr ? nullptr : of(wr.wr.ud.ah).ah->handle;
        request.remote_qpn = wr.wr.ud.remote_qpn;
        request.remote_qkey = wr.wr.ud.remote_qkey;
      } else {
        request.remote_address = wr.wr.rdma.remote_addr;
        request.rkey = wr.wr.rdma.rkey;
      }
  }
  return request;
}

}  // namespace

rdma::WindowBinding to_binding(ibv_mw* mw, std::uint32_t key, const ibv_mw_bind_info& info) {
  return {.window = mw == nullptr ? nullptr : of(mw).window->window,
          .new_key = key,
          .region = info.mr == nullptr ? nullptr : of(info.mr).region->region,
          .address = info.addr,
          .length = info.length,
          .access = static_cast<rdma::Access>(info.mw_access_flags)};
}

int errno_of(rdma::Posted posted) {
  switch (posted) {
    case rdma::Posted::kPosted:
      return 0;
    case rdma::Posted::kFull:
      return ENOMEM;
    case rdma::Posted::kInvalid:
    case rdma::Posted::kWrongState:
      return EINVAL;
    case rdma::Posted::kFault:
      return EFAULT;
  }
  return EINVAL;
}

int post_send(ibv_qp* handle, ibv_send_wr* wr, ibv_send_wr** bad) {
  int error = 0;
  const auto post = [&](SendPoster& poster) {
    for (; wr != nullptr && error == 0; wr = error == 0 ? wr->next : wr) {
      if (!is_known(wr->opcode) || wr->num_sge < 0) {
        error = EINVAL;
      } else {
        error = errno_of(poster.post(to_request(*wr, handle->qp_type)));
      }
    }
  };
  if (!of(handle).qp->send(post)) error = EIO;
  if (error != 0 && bad != nullptr) *bad = wr;
  return error;
}

namespace {

// To a receive queue of either kind.
template <typename Queue>
int post_receives(Queue& queue, ibv_recv_wr* wr, ibv_recv_wr** bad) {
  int error = 0;
  const auto post = [&](ReceivePoster& poster) {
    for (; wr != nullptr; wr = wr->next) {
      error = wr->num_sge < 0 ? EINVAL
                              : errno_of(poster.post({.wr_id = wr->wr_id,
                                                      .sges = pieces(wr->sg_list, wr->num_sge)}));
      if (error != 0) return;
    }
  };
  if (!queue.receive(post)) error = EIO;
  if (error != 0 && bad != nullptr) *bad = wr;
  return error;
}

}  // namespace

int post_recv(ibv_qp* qp, ibv_recv_wr* wr, ibv_recv_wr** bad) {
  return post_receives(*of(qp).qp, wr, bad);
}

int post_srq_recv(ibv_srq* srq, ibv_recv_wr* wr, ibv_recv_wr** bad) {
  return post_receives(*of(srq).srq, wr, bad);
}

int poll_cq(ibv_cq* handle, int wanted, ibv_wc* wc) {
  Cq& cq = of(handle);
  int got = take_told(cq, wanted, wc);
  if (got == 0) {
    the_engine().poll();
    got = take_told(cq, wanted, wc);
  }
  polled(got != 0);
  return got;
}

void polled(bool found) {
  thread_local IdlePoll idle;
  if (found) {
    idle.found();
  } else {
    idle.found_nothing();
  }
}

int req_notify_cq(ibv_cq* handle, int solicited_only) {
  Cq& cq = of(handle);
  {
    const std::scoped_lock lock(cq.lock);
    cq.cq->request_notification(solicited_only != 0 ? rdma::CompletionQueue::Notify::kSolicited
                                                    : rdma::CompletionQueue::Notify::kAny);
  }
  // Whoever asks is about to sleep, in ibv_get_cq_event or in a poll() of its own.
  the_engine().about_to_sleep();
  return 0;
}

}  // namespace tideline::shim::verbs
