// SPDX-License-Identifier: Apache-2.0
// The data path of the verbs: posting and polling. Errors are errno values, as verbs return them.
// Thread: any.
#pragma once

#include <infiniband/verbs.h>

#include <cstdint>

#include "rdma/work_request.h"
#include "shim/verbs/objects.h"

namespace tideline::shim::verbs {

int post_send(ibv_qp* qp, ibv_send_wr* wr, ibv_send_wr** bad);
int post_recv(ibv_qp* qp, ibv_recv_wr* wr, ibv_recv_wr** bad);
int post_srq_recv(ibv_srq* srq, ibv_recv_wr* wr, ibv_recv_wr** bad);
int poll_cq(ibv_cq* cq, int wanted, ibv_wc* wc);
int req_notify_cq(ibv_cq* cq, int solicited_only);
// The calling thread has polled a queue: idle_poll.h.
void polled(bool found);

rdma::WindowBinding to_binding(ibv_mw* mw, std::uint32_t key, const ibv_mw_bind_info& info);
int errno_of(rdma::Posted posted);
// What ibv_wc has as `sl`.
std::uint8_t service_level(const rdma::Completion& completion);

// The pointers of the ibv_wr_* and of the ibv_cq_ex interface: extended.cc.
void set_batch_calls(ibv_qp_ex& qp);
void set_poll_calls(ibv_cq_ex& cq);

}  // namespace tideline::shim::verbs
