// SPDX-License-Identifier: Apache-2.0
// Completion queues, shared receive queues and queue pairs.
#include <pthread.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <optional>

#include "shim/verbs/control.h"
#include "shim/verbs/data.h"
#include "shim/verbs/events.h"
#include "shim/verbs/objects.h"

namespace tideline::shim::verbs {
namespace {

template <typename Base>
void init_locks(Base& base) {
  ::pthread_mutex_init(&base.mutex, nullptr);
  ::pthread_cond_init(&base.cond, nullptr);
}

template <typename Base>
void destroy_locks(Base& base) {
  ::pthread_cond_destroy(&base.cond);
  ::pthread_mutex_destroy(&base.mutex);
}

rdma::QpCapacity to_capacity(const ibv_qp_cap& cap) {
  return {.send_wr = cap.max_send_wr,
          .recv_wr = cap.max_recv_wr,
          .send_sge = cap.max_send_sge,
          .recv_sge = cap.max_recv_sge,
          .inline_data = cap.max_inline_data};
}

ibv_qp_cap to_cap(const rdma::QpCapacity& capacity) {
  return {.max_send_wr = capacity.send_wr,
          .max_recv_wr = capacity.recv_wr,
          .max_send_sge = capacity.send_sge,
          .max_recv_sge = capacity.recv_sge,
          .max_inline_data = capacity.inline_data};
}

constexpr std::uint64_t kSendOps = IBV_QP_EX_WITH_RDMA_WRITE | IBV_QP_EX_WITH_RDMA_WRITE_WITH_IMM |
                                   IBV_QP_EX_WITH_SEND | IBV_QP_EX_WITH_SEND_WITH_IMM |
                                   IBV_QP_EX_WITH_RDMA_READ | IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP |
                                   IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD | IBV_QP_EX_WITH_LOCAL_INV |
                                   IBV_QP_EX_WITH_BIND_MW | IBV_QP_EX_WITH_SEND_WITH_INV;

Result<rdma::QpAttributes> to_attributes(const ibv_qp_attr& from, int mask) {
  rdma::QpAttributes to{.state = static_cast<rdma::QpState>(from.qp_state),
                        .current_state = static_cast<rdma::QpState>(from.cur_qp_state),
                        .sqd_notify = from.en_sqd_async_notify != 0,
                        .access = static_cast<rdma::Access>(from.qp_access_flags),
                        .pkey_index = from.pkey_index,
                        .port = from.port_num,
                        .qkey = from.qkey,
                        .path_mtu = static_cast<rdma::Mtu>(from.path_mtu),
                        .timeout = from.timeout,
                        .retry_count = from.retry_cnt,
                        .rnr_retry = from.rnr_retry,
                        .min_rnr_timer = from.min_rnr_timer,
                        .receive_psn = from.rq_psn,
                        .send_psn = from.sq_psn,
                        .max_rd_atomic = from.max_rd_atomic,
                        .max_dest_rd_atomic = from.max_dest_rd_atomic,
                        .destination_qpn = from.dest_qp_num};
  if ((mask & IBV_QP_AV) != 0) {
    auto vector = to_address_vector(from.ah_attr);
    if (!vector) return fail(std::move(vector.error()));
    to.address = *vector;
  }
  return to;
}

void tell(const rdma::QpAttributes& from, ibv_qp_attr& to) {
  to = {};
  to.qp_state = static_cast<ibv_qp_state>(from.state);
  to.cur_qp_state = static_cast<ibv_qp_state>(from.state);
  to.path_mtu = static_cast<ibv_mtu>(from.path_mtu);
  to.path_mig_state = IBV_MIG_MIGRATED;
  to.qkey = from.qkey;
  to.rq_psn = from.receive_psn;
  to.sq_psn = from.send_psn;
  to.dest_qp_num = from.destination_qpn;
  to.qp_access_flags = static_cast<unsigned>(from.access);
  to.ah_attr = to_ibv(from.address);
  to.pkey_index = from.pkey_index;
  to.sq_draining = from.state == rdma::QpState::kSqd ? 1 : 0;
  to.max_rd_atomic = from.max_rd_atomic;
  to.max_dest_rd_atomic = from.max_dest_rd_atomic;
  to.min_rnr_timer = from.min_rnr_timer;
  to.port_num = from.port;
  to.timeout = from.timeout;
  to.retry_cnt = from.retry_count;
  to.rnr_retry = from.rnr_retry;
}

Cq* new_cq(ibv_context* context, std::uint32_t entries, void* user, ibv_comp_channel* channel,
           std::uint32_t vector) {
  if (vector != 0 || entries == 0) return refused<Cq>(EINVAL);
  auto cq = std::make_unique<Cq>();
  cq->base.context = context;
  cq->base.channel = channel;
  cq->base.cq_context = user;
  init_locks(cq->base);
  auto created = context_of(context).device->create_completions(
      entries, cq.get(), channel == nullptr ? nullptr : of(channel).events.get());
  if (!created) {
    destroy_locks(cq->base);
    return refused<Cq>(errno_of(created.error()));
  }
  cq->cq = std::move(*created);
  cq->base.cqe = static_cast<int>(cq->cq->entries());
  if (channel != nullptr) ++channel->refcnt;
  return cq.release();
}

// Nobody polls the queues of the queue pair while this lives.
class PollsHeld {
 public:
  explicit PollsHeld(const Qp& qp)
      : first_(of(qp.base.qp_base.send_cq).lock), second_(of(qp.base.qp_base.recv_cq).lock) {
    std::less<> before;
    if (&first_ == &second_) {
      first_.lock();
    } else {
      (before(&first_, &second_) ? first_ : second_).lock();
      (before(&first_, &second_) ? second_ : first_).lock();
    }
  }
  PollsHeld(const PollsHeld&) = delete;
  PollsHeld& operator=(const PollsHeld&) = delete;
  ~PollsHeld() {
    first_.unlock();
    if (&first_ != &second_) second_.unlock();
  }

 private:
  SpinLock& first_;
  SpinLock& second_;
};

// The type as verbs name it, if the device has it.
bool has_type(ibv_qp_type type) {
  return type == IBV_QPT_RC || type == IBV_QPT_UC || type == IBV_QPT_UD;
}

Qp* new_qp(ibv_pd* pd, const ibv_qp_init_attr_ex& init) {
  if (!has_type(init.qp_type)) return refused<Qp>(EOPNOTSUPP);
  if (init.send_cq == nullptr || init.recv_cq == nullptr) return refused<Qp>(EINVAL);
  auto qp = std::make_unique<Qp>();
  init_locks(qp->base.qp_base);
  auto created =
      of(pd).pd->create_pair({.type = static_cast<rdma::QpType>(init.qp_type),
                              .send = of(init.send_cq).cq.get(),
                              .receive = of(init.recv_cq).cq.get(),
                              .shared = init.srq == nullptr ? nullptr : of(init.srq).srq.get(),
                              .capacity = to_capacity(init.cap),
                              .signal_all = init.sq_sig_all != 0,
                              .user = qp.get()});
  if (!created) {
    destroy_locks(qp->base.qp_base);
    return refused<Qp>(errno_of(created.error()));
  }
  qp->qp = std::move(*created);
  ibv_qp& base = qp->base.qp_base;
  base.context = pd->context;
  base.qp_context = init.qp_context;
  base.pd = pd;
  base.send_cq = init.send_cq;
  base.recv_cq = init.recv_cq;
  base.srq = init.srq;
  base.handle = base.qp_num = qp->qp->number;
  base.state = IBV_QPS_RESET;
  base.qp_type = init.qp_type;
  set_batch_calls(qp->base);
  return qp.release();
}

}  // namespace

ibv_cq_ex* create_cq_ex(ibv_context* context, ibv_cq_init_attr_ex* init) {
  constexpr unsigned kFields = static_cast<unsigned>(IBV_WC_STANDARD_FLAGS) |
                               static_cast<unsigned>(IBV_WC_EX_WITH_COMPLETION_TIMESTAMP);
  if ((init->wc_flags & ~std::uint64_t{kFields}) != 0) return refused<ibv_cq_ex>(EOPNOTSUPP);
  const bool has_flags = (init->comp_mask & IBV_CQ_INIT_ATTR_MASK_FLAGS) != 0;
  if (has_flags && (init->flags & ~std::uint32_t{IBV_CREATE_CQ_ATTR_SINGLE_THREADED}) != 0) {
    return refused<ibv_cq_ex>(EOPNOTSUPP);
  }
  Cq* cq = new_cq(context, init->cqe, init->cq_context, init->channel, init->comp_vector);
  if (cq == nullptr) return nullptr;
  cq->single_threaded = has_flags && (init->flags & IBV_CREATE_CQ_ATTR_SINGLE_THREADED) != 0;
  set_poll_calls(cq->base);
  return &cq->base;
}

ibv_qp* create_qp_ex(ibv_context* /*context*/, ibv_qp_init_attr_ex* init) {
  constexpr std::uint32_t kMask =
      IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS | IBV_QP_INIT_ATTR_CREATE_FLAGS;
  const bool has_flags = (init->comp_mask & IBV_QP_INIT_ATTR_CREATE_FLAGS) != 0;
  if (has_flags && init->create_flags != 0) return refused<ibv_qp>(EOPNOTSUPP);
  if ((init->comp_mask & ~kMask) != 0 || (init->comp_mask & IBV_QP_INIT_ATTR_PD) == 0) {
    return refused<ibv_qp>(EOPNOTSUPP);
  }
  const bool has_ops = (init->comp_mask & IBV_QP_INIT_ATTR_SEND_OPS_FLAGS) != 0;
  if (has_ops && (init->send_ops_flags & ~kSendOps) != 0) return refused<ibv_qp>(EOPNOTSUPP);
  Qp* qp = new_qp(init->pd, *init);
  if (qp == nullptr) return nullptr;
  init->cap = to_cap(qp->qp->capacity);
  qp->has_batch = has_ops;
  return &qp->base.qp_base;
}

ibv_srq* create_srq_ex(ibv_context* context, ibv_srq_init_attr_ex* init) {
  constexpr std::uint32_t kMask = IBV_SRQ_INIT_ATTR_TYPE | IBV_SRQ_INIT_ATTR_PD;
  const bool basic =
      (init->comp_mask & IBV_SRQ_INIT_ATTR_TYPE) == 0 || init->srq_type == IBV_SRQT_BASIC;
  if (!basic || (init->comp_mask & ~kMask) != 0 || (init->comp_mask & IBV_SRQ_INIT_ATTR_PD) == 0) {
    return refused<ibv_srq>(EOPNOTSUPP);
  }
  auto srq = std::make_unique<Srq>();
  init_locks(srq->base);
  auto created = of(init->pd).pd->create_receives({.max_wr = init->attr.max_wr,
                                                   .max_sge = init->attr.max_sge,
                                                   .limit = init->attr.srq_limit,
                                                   .user = srq.get()});
  if (!created) {
    destroy_locks(srq->base);
    return refused<ibv_srq>(errno_of(created.error()));
  }
  srq->srq = std::move(*created);
  srq->base.context = context;
  srq->base.srq_context = init->srq_context;
  srq->base.pd = init->pd;
  srq->base.handle = srq->srq->number;
  if (const auto state = srq->srq->query()) init->attr.max_wr = state->max_wr;
  init->attr.max_sge = srq->srq->max_sge;
  return &srq.release()->base;
}

int get_srq_num(ibv_srq* srq, std::uint32_t* number) {
  *number = of(srq).srq->number;
  return 0;
}

}  // namespace tideline::shim::verbs

using namespace tideline::shim::verbs;  // NOLINT(google-build-using-namespace): the C face of it

extern "C" {

ibv_cq* ibv_create_cq(ibv_context* context, int entries, void* user, ibv_comp_channel* channel,
                      int vector) {
  if (entries < 0) return refused<ibv_cq>(EINVAL);
  Cq* cq = new_cq(context, static_cast<std::uint32_t>(entries), user, channel,
                  static_cast<std::uint32_t>(vector));
  return cq == nullptr ? nullptr : cq->base_cq();
}

int ibv_resize_cq(ibv_cq* handle, int entries) {
  if (entries <= 0) return EINVAL;
  Cq& cq = of(handle);
  const std::scoped_lock lock(cq.lock);
  const int error = errno_of(cq.cq->resize(static_cast<std::uint32_t>(entries)));
  if (error == 0) handle->cqe = static_cast<int>(cq.cq->entries());
  return error;
}

int ibv_destroy_cq(ibv_cq* handle) {
  Cq& cq = of(handle);
  const int error = errno_of(cq.cq->destroy());
  if (error != 0) return error;
  forget_events(cq);
  if (handle->channel != nullptr) --handle->channel->refcnt;
  destroy_locks(cq.base);
  delete &cq;
  return 0;
}

ibv_srq* ibv_create_srq(ibv_pd* pd, ibv_srq_init_attr* init) {
  ibv_srq_init_attr_ex whole{};
  whole.srq_context = init->srq_context;
  whole.attr = init->attr;
  whole.comp_mask = IBV_SRQ_INIT_ATTR_PD;
  whole.pd = pd;
  ibv_srq* srq = create_srq_ex(pd->context, &whole);
  if (srq != nullptr) init->attr = whole.attr;
  return srq;
}

int ibv_modify_srq(ibv_srq* handle, ibv_srq_attr* attr, int mask) {
  return errno_of(of(handle).srq->modify({.resize = (mask & IBV_SRQ_MAX_WR) != 0,
                                          .set_limit = (mask & IBV_SRQ_LIMIT) != 0,
                                          .max_wr = attr->max_wr,
                                          .limit = attr->srq_limit}));
}

int ibv_query_srq(ibv_srq* handle, ibv_srq_attr* attr) {
  const auto state = of(handle).srq->query();
  if (!state) return errno_of(state.error());
  *attr = {.max_wr = state->max_wr, .max_sge = of(handle).srq->max_sge, .srq_limit = state->limit};
  return 0;
}

int ibv_destroy_srq(ibv_srq* handle) {
  Srq& srq = of(handle);
  const int error = errno_of(srq.srq->destroy());
  if (error != 0) return error;
  forget_events(srq);
  destroy_locks(srq.base);
  delete &srq;
  return 0;
}

ibv_qp* ibv_create_qp(ibv_pd* pd, ibv_qp_init_attr* init) {
  ibv_qp_init_attr_ex whole{};
  whole.qp_context = init->qp_context;
  whole.send_cq = init->send_cq;
  whole.recv_cq = init->recv_cq;
  whole.srq = init->srq;
  whole.cap = init->cap;
  whole.qp_type = init->qp_type;
  whole.sq_sig_all = init->sq_sig_all;
  Qp* qp = new_qp(pd, whole);
  if (qp == nullptr) return nullptr;
  init->cap = to_cap(qp->qp->capacity);
  return &qp->base.qp_base;
}

// Null where the program did not ask for the operations when it made the queue pair.
ibv_qp_ex* ibv_qp_to_qp_ex(ibv_qp* qp) { return of(qp).has_batch ? &of(qp).base : nullptr; }

int ibv_modify_qp(ibv_qp* handle, ibv_qp_attr* attr, int mask) {
  Qp& qp = of(handle);
  const bool resets = (mask & IBV_QP_STATE) != 0 && attr->qp_state == IBV_QPS_RESET;
  std::optional<PollsHeld> held;
  if (resets) held.emplace(qp);
  const auto attributes = to_attributes(*attr, mask);
  if (!attributes) return errno_of(attributes.error());
  auto state = static_cast<tideline::rdma::QpState>(handle->state);
  const int error = errno_of(qp.qp->modify(*attributes, static_cast<unsigned>(mask), state));
  handle->state = static_cast<ibv_qp_state>(state);
  const bool has_way = (mask & IBV_QP_AV) != 0 && handle->qp_type != IBV_QPT_UD;
  if (error == 0 && has_way) wait_for_way([&] { return qp.qp->has_way(); });
  return error;
}

int ibv_query_qp(ibv_qp* handle, ibv_qp_attr* attr, int /*mask*/, ibv_qp_init_attr* init) {
  Qp& qp = of(handle);
  const auto attributes = qp.qp->query();
  if (!attributes) return errno_of(attributes.error());
  tell(*attributes, *attr);
  attr->cap = to_cap(qp.qp->capacity);
  handle->state = attr->qp_state;
  if (init != nullptr) {
    *init = {.qp_context = handle->qp_context,
             .send_cq = handle->send_cq,
             .recv_cq = handle->recv_cq,
             .srq = handle->srq,
             .cap = attr->cap,
             .qp_type = handle->qp_type,
             .sq_sig_all = qp.qp->signal_all ? 1 : 0};
  }
  return 0;
}

int ibv_destroy_qp(ibv_qp* handle) {
  Qp& qp = of(handle);
  const int error = [&] {
    const PollsHeld held(qp);
    return errno_of(qp.qp->destroy());
  }();
  if (error != 0) return error;
  forget_events(qp);
  destroy_locks(qp.base.qp_base);
  delete &qp;
  return 0;
}

int ibv_query_qp_data_in_order(ibv_qp* /*qp*/, ibv_wr_opcode /*opcode*/, std::uint32_t /*flags*/) {
  return 1;  // the copy goes upwards, the last byte last
}

}  // extern "C"
