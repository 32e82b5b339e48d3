// SPDX-License-Identifier: Apache-2.0
// Every other public name of libibverbs and librdmacm, refusing with EOPNOTSUPP. A name that were
// missing here would reach the real library, which would take our objects for its own and crash.
// Their parameters do not matter to a function that refuses, so this file does not include the
// headers that declare them.
#include <cerrno>

namespace {

int refuse() {
  errno = EOPNOTSUPP;
  return EOPNOTSUPP;
}

int refuse_minus_one() {
  errno = EOPNOTSUPP;
  return -1;
}

void* refuse_null() {
  errno = EOPNOTSUPP;
  return nullptr;
}

}  // namespace

// One line per kind of result, as the real functions report errors.
// NOLINTBEGIN(bugprone-macro-parentheses,readability-identifier-naming): names of C functions
#define ERRNO(name) \
  int name() { return refuse(); }
#define MINUS_ONE(name) \
  int name() { return refuse_minus_one(); }
#define POINTER(name) \
  void* name() { return refuse_null(); }
#define NOTHING(name) \
  void name() {}

extern "C" {

// libibverbs
ERRNO(ibv_attach_mcast)
ERRNO(ibv_detach_mcast)
ERRNO(ibv_query_ece)
ERRNO(ibv_set_ece)
ERRNO(ibv_resolve_eth_l2_from_gid)
POINTER(ibv_import_device)
POINTER(ibv_import_mr)
POINTER(ibv_import_pd)
POINTER(ibv_import_dm)
POINTER(ibv_reg_dmabuf_mr)
NOTHING(ibv_unimport_mr)
NOTHING(ibv_unimport_pd)
NOTHING(ibv_unimport_dm)
NOTHING(ibv_register_driver)
NOTHING(ibv_copy_ah_attr_from_kern)
NOTHING(ibv_copy_path_rec_from_kern)
NOTHING(ibv_copy_path_rec_to_kern)
NOTHING(ibv_copy_qp_attr_from_kern)

// libibverbs, private to drivers that perftest, UCX and libfabric load: no kernel device is there
// for them to find.
ERRNO(__ioctl_final_num_attrs)
NOTHING(__verbs_log)
POINTER(_verbs_init_and_alloc_context)
ERRNO(execute_ioctl)
ERRNO(ibv_cmd_advise_mr)
ERRNO(ibv_cmd_alloc_dm)
ERRNO(ibv_cmd_alloc_mw)
ERRNO(ibv_cmd_alloc_pd)
ERRNO(ibv_cmd_attach_mcast)
ERRNO(ibv_cmd_close_xrcd)
ERRNO(ibv_cmd_create_ah)
ERRNO(ibv_cmd_create_counters)
ERRNO(ibv_cmd_create_cq)
ERRNO(ibv_cmd_create_cq_ex)
ERRNO(ibv_cmd_create_flow)
ERRNO(ibv_cmd_create_flow_action_esp)
ERRNO(ibv_cmd_create_qp)
ERRNO(ibv_cmd_create_qp_ex)
ERRNO(ibv_cmd_create_qp_ex2)
ERRNO(ibv_cmd_create_rwq_ind_table)
ERRNO(ibv_cmd_create_srq)
ERRNO(ibv_cmd_create_srq_ex)
ERRNO(ibv_cmd_create_wq)
ERRNO(ibv_cmd_dealloc_mw)
ERRNO(ibv_cmd_dealloc_pd)
ERRNO(ibv_cmd_dereg_mr)
ERRNO(ibv_cmd_destroy_ah)
ERRNO(ibv_cmd_destroy_counters)
ERRNO(ibv_cmd_destroy_cq)
ERRNO(ibv_cmd_destroy_flow)
ERRNO(ibv_cmd_destroy_flow_action)
ERRNO(ibv_cmd_destroy_qp)
ERRNO(ibv_cmd_destroy_rwq_ind_table)
ERRNO(ibv_cmd_destroy_srq)
ERRNO(ibv_cmd_destroy_wq)
ERRNO(ibv_cmd_detach_mcast)
ERRNO(ibv_cmd_free_dm)
ERRNO(ibv_cmd_get_context)
ERRNO(ibv_cmd_modify_cq)
ERRNO(ibv_cmd_modify_flow_action_esp)
ERRNO(ibv_cmd_modify_qp)
ERRNO(ibv_cmd_modify_qp_ex)
ERRNO(ibv_cmd_modify_srq)
ERRNO(ibv_cmd_modify_wq)
ERRNO(ibv_cmd_open_qp)
ERRNO(ibv_cmd_open_xrcd)
ERRNO(ibv_cmd_poll_cq)
ERRNO(ibv_cmd_post_recv)
ERRNO(ibv_cmd_post_send)
ERRNO(ibv_cmd_post_srq_recv)
ERRNO(ibv_cmd_query_context)
ERRNO(ibv_cmd_query_device_any)
ERRNO(ibv_cmd_query_mr)
ERRNO(ibv_cmd_query_port)
ERRNO(ibv_cmd_query_qp)
ERRNO(ibv_cmd_query_srq)
ERRNO(ibv_cmd_read_counters)
ERRNO(ibv_cmd_reg_dm_mr)
ERRNO(ibv_cmd_reg_dmabuf_mr)
ERRNO(ibv_cmd_reg_mr)
ERRNO(ibv_cmd_req_notify_cq)
ERRNO(ibv_cmd_rereg_mr)
ERRNO(ibv_cmd_resize_cq)
MINUS_ONE(ibv_read_ibdev_sysfs_file)
MINUS_ONE(ibv_read_sysfs_file)
NOTHING(verbs_allow_disassociate_destroy)
NOTHING(verbs_init_cq)
POINTER(verbs_open_device)
NOTHING(verbs_register_driver_34)
NOTHING(verbs_set_ops)
NOTHING(verbs_uninit_context)

// librdmacm
MINUS_ONE(rdma_accept)
MINUS_ONE(rdma_ack_cm_event)
MINUS_ONE(rdma_bind_addr)
MINUS_ONE(rdma_connect)
MINUS_ONE(rdma_create_ep)
MINUS_ONE(rdma_create_id)
MINUS_ONE(rdma_create_qp)
MINUS_ONE(rdma_create_qp_ex)
MINUS_ONE(rdma_create_srq)
MINUS_ONE(rdma_create_srq_ex)
NOTHING(rdma_destroy_ep)
MINUS_ONE(rdma_destroy_id)
NOTHING(rdma_destroy_qp)
NOTHING(rdma_destroy_srq)
MINUS_ONE(rdma_disconnect)
MINUS_ONE(rdma_establish)
NOTHING(rdma_freeaddrinfo)
MINUS_ONE(rdma_get_remote_ece)
MINUS_ONE(rdma_get_request)
MINUS_ONE(rdma_getaddrinfo)
MINUS_ONE(rdma_init_qp_attr)
MINUS_ONE(rdma_join_multicast)
MINUS_ONE(rdma_join_multicast_ex)
MINUS_ONE(rdma_leave_multicast)
MINUS_ONE(rdma_listen)
MINUS_ONE(rdma_migrate_id)
MINUS_ONE(rdma_notify)
MINUS_ONE(rdma_reject)
MINUS_ONE(rdma_reject_ece)
MINUS_ONE(rdma_resolve_addr)
MINUS_ONE(rdma_resolve_route)
MINUS_ONE(rdma_set_local_ece)
MINUS_ONE(rdma_set_option)
MINUS_ONE(raccept)
MINUS_ONE(rbind)
MINUS_ONE(rclose)
MINUS_ONE(rconnect)
MINUS_ONE(rfcntl)
MINUS_ONE(rgetpeername)
MINUS_ONE(rgetsockname)
MINUS_ONE(rgetsockopt)
MINUS_ONE(riounmap)
MINUS_ONE(rlisten)
MINUS_ONE(rpoll)
MINUS_ONE(rselect)
MINUS_ONE(rsetsockopt)
MINUS_ONE(rshutdown)
MINUS_ONE(rsocket)

// These return 64 bits.
long riomap() { return refuse_minus_one(); }
long riowrite() { return refuse_minus_one(); }
long rread() { return refuse_minus_one(); }
long rreadv() { return refuse_minus_one(); }
long rrecv() { return refuse_minus_one(); }
long rrecvfrom() { return refuse_minus_one(); }
long rrecvmsg() { return refuse_minus_one(); }
long rsend() { return refuse_minus_one(); }
long rsendmsg() { return refuse_minus_one(); }
long rsendto() { return refuse_minus_one(); }
long rwrite() { return refuse_minus_one(); }
long rwritev() { return refuse_minus_one(); }

unsigned short rdma_get_dst_port() { return 0; }
unsigned short rdma_get_src_port() { return 0; }
const char* rdma_event_str() { return "rdma_cm is not available"; }

}  // extern "C"
// NOLINTEND(bugprone-macro-parentheses,readability-identifier-naming)
