// SPDX-License-Identifier: Apache-2.0
// The control verbs that programs reach through pointers in verbs_context and ibv_context.ops, not
// through a symbol. Errors as verbs return them: an errno, or null with errno set. Thread: any.
#pragma once

#include <infiniband/verbs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "base/error.h"
#include "rdma/address.h"
#include "shim/verbs/engine.h"

namespace tideline::shim::verbs {

ibv_mw* alloc_mw(ibv_pd* pd, ibv_mw_type type);
int bind_mw(ibv_qp* qp, ibv_mw* mw, ibv_mw_bind* bind);
int dealloc_mw(ibv_mw* mw);

ibv_td* alloc_td(ibv_context* context, ibv_td_init_attr* init);
int dealloc_td(ibv_td* td);
ibv_pd* alloc_parent_domain(ibv_context* context, ibv_parent_domain_init_attr* init);

ibv_cq_ex* create_cq_ex(ibv_context* context, ibv_cq_init_attr_ex* init);
ibv_qp* create_qp_ex(ibv_context* context, ibv_qp_init_attr_ex* init);
ibv_srq* create_srq_ex(ibv_context* context, ibv_srq_init_attr_ex* init);
int get_srq_num(ibv_srq* srq, std::uint32_t* number);

// Addresses. An address vector without a GID names the peer by LID (rdma/lid.h); EINVAL if nobody
// has it.
rdma::Gid to_gid(const ibv_gid& gid);
ibv_gid to_ibv(const rdma::Gid& gid);
Result<rdma::AddressVector> to_address_vector(const ibv_ah_attr& attr);
ibv_ah_attr to_ibv(const rdma::AddressVector& vector);

// Of a failed call of the room `rdma`.
inline int errno_of(const Error& error) { return error.errno_value != 0 ? error.errno_value : EIO; }
inline int errno_of(const Status& status) { return status ? 0 : errno_of(status.error()); }

// Waits until `has_way()`, at most for a second, as the kernel resolves addresses in these verbs:
// nothing that is posted next is lost for want of a neighbour.
template <typename HasWay>
void wait_for_way(const HasWay& has_way) {
  constexpr int kPatienceUs = 1'000'000;
  constexpr int kPauseUs = 100;
  for (int waited = 0; !has_way() && waited < kPatienceUs; waited += kPauseUs) ::usleep(kPauseUs);
}

// What a verb that makes an object returns when it cannot.
template <typename T>
T* refused(int error) {
  errno = error;
  return nullptr;
}

}  // namespace tideline::shim::verbs
