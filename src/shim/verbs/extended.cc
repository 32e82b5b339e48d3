// SPDX-License-Identifier: Apache-2.0
// The interfaces that programs reach through pointers in ibv_qp_ex and ibv_cq_ex: work requests
// built between ibv_wr_start and ibv_wr_complete, and completions read field by field.
#include <cerrno>
#include <cstring>
#include <span>

#include "shim/verbs/data.h"
#include "shim/verbs/engine.h"
#include "shim/verbs/objects.h"

namespace tideline::shim::verbs {
namespace {

Batch::Entry& begin(ibv_qp_ex* qp, rdma::SendOpcode opcode) {
  Batch& batch = of(qp).batch;
  return batch.entries.emplace_back(
      Batch::Entry{.request = {.wr_id = qp->wr_id, .opcode = opcode, .flags = qp->wr_flags},
                   .first_sge = batch.sges.size(),
                   .first_inline = batch.inline_data.size()});
}

void begin_remote(ibv_qp_ex* qp, rdma::SendOpcode opcode, std::uint32_t rkey,
                  std::uint64_t address) {
  rdma::SendRequest& request = begin(qp, opcode).request;
  request.rkey = rkey;
  request.remote_address = address;
}

// The request that a setter speaks of; one before any request is a mistake of the program.
Batch::Entry* last(ibv_qp_ex* qp) {
  Batch& batch = of(qp).batch;
  if (!batch.entries.empty()) return &batch.entries.back();
  batch.error = EINVAL;
  return nullptr;
}

void refuse(ibv_qp_ex* qp, int error) {
  Batch& batch = of(qp).batch;
  if (batch.error == 0) batch.error = error;
}

void wr_atomic_cmp_swp(ibv_qp_ex* qp, std::uint32_t rkey, std::uint64_t address,
                       std::uint64_t compare, std::uint64_t swap) {
  begin_remote(qp, rdma::SendOpcode::kCompareSwap, rkey, address);
  last(qp)->request.compare_add = compare;
  last(qp)->request.swap = swap;
}

void wr_atomic_fetch_add(ibv_qp_ex* qp, std::uint32_t rkey, std::uint64_t address,
                         std::uint64_t add) {
  begin_remote(qp, rdma::SendOpcode::kFetchAdd, rkey, address);
  last(qp)->request.compare_add = add;
}

void wr_bind_mw(ibv_qp_ex* qp, ibv_mw* mw, std::uint32_t rkey, const ibv_mw_bind_info* info) {
  begin(qp, rdma::SendOpcode::kBindWindow).request.bind = to_binding(mw, rkey, *info);
}

void wr_local_inv(ibv_qp_ex* qp, std::uint32_t rkey) {
  begin(qp, rdma::SendOpcode::kLocalInvalidate).request.immediate = rkey;
}

void wr_rdma_read(ibv_qp_ex* qp, std::uint32_t rkey, std::uint64_t address) {
  begin_remote(qp, rdma::SendOpcode::kRead, rkey, address);
}

void wr_rdma_write(ibv_qp_ex* qp, std::uint32_t rkey, std::uint64_t address) {
  begin_remote(qp, rdma::SendOpcode::kWrite, rkey, address);
}

void wr_rdma_write_imm(ibv_qp_ex* qp, std::uint32_t rkey, std::uint64_t address, __be32 immediate) {
  begin_remote(qp, rdma::SendOpcode::kWriteImm, rkey, address);
  last(qp)->request.immediate = immediate;
}

void wr_send(ibv_qp_ex* qp) { begin(qp, rdma::SendOpcode::kSend); }

void wr_send_imm(ibv_qp_ex* qp, __be32 immediate) {
  begin(qp, rdma::SendOpcode::kSendImm).request.immediate = immediate;
}

void wr_send_inv(ibv_qp_ex* qp, std::uint32_t rkey) {
  begin(qp, rdma::SendOpcode::kSendInvalidate).request.immediate = rkey;
}

void wr_send_tso(ibv_qp_ex* qp, void* /*header*/, std::uint16_t /*size*/, std::uint16_t /*mss*/) {
  refuse(qp, EOPNOTSUPP);
}

void wr_atomic_write(ibv_qp_ex* qp, std::uint32_t /*rkey*/, std::uint64_t /*address*/,
                     const void* /*data*/) {
  refuse(qp, EOPNOTSUPP);
}

void wr_set_xrc_srqn(ibv_qp_ex* qp, std::uint32_t /*number*/) { refuse(qp, EOPNOTSUPP); }

void wr_set_ud_addr(ibv_qp_ex* qp, ibv_ah* ah, std::uint32_t qpn, std::uint32_t qkey) {
  Batch::Entry* entry = last(qp);
  if (entry == nullptr) return;
  entry->request.ah = of(ah).ah->handle;
  entry->request.remote_qpn = qpn;
  entry->request.remote_qkey = qkey;
}

void append_inline(ibv_qp_ex* qp, Batch::Entry& entry, const void* data, std::size_t size) {
  Batch& batch = of(qp).batch;
  const auto* bytes = static_cast<const std::byte*>(data);
  batch.inline_data.insert(batch.inline_data.end(), bytes, bytes + size);
  entry.inline_bytes += size;
  entry.request.flags |= rdma::SendFlags::kInline;
}

void wr_set_inline_data(ibv_qp_ex* qp, void* data, std::size_t size) {
  if (Batch::Entry* entry = last(qp)) append_inline(qp, *entry, data, size);
}

void wr_set_inline_data_list(ibv_qp_ex* qp, std::size_t count, const ibv_data_buf* list) {
  Batch::Entry* entry = last(qp);
  if (entry == nullptr) return;
  for (const ibv_data_buf& part : std::span(list, count)) {
    append_inline(qp, *entry, part.addr, part.length);
  }
}

void append_sge(ibv_qp_ex* qp, std::uint32_t lkey, std::uint64_t address, std::uint32_t length) {
  Batch::Entry* entry = last(qp);
  if (entry == nullptr) return;
  of(qp).batch.sges.push_back({.address = address, .length = length, .lkey = lkey});
  ++entry->sges;
}

void wr_set_sge(ibv_qp_ex* qp, std::uint32_t lkey, std::uint64_t address, std::uint32_t length) {
  append_sge(qp, lkey, address, length);
}

void wr_set_sge_list(ibv_qp_ex* qp, std::size_t count, const ibv_sge* list) {
  for (const ibv_sge& sge : std::span(list, count)) {
    append_sge(qp, sge.lkey, sge.addr, sge.length);
  }
}

void wr_start(ibv_qp_ex* qp) {
  of(qp).batch_lock.lock();
  of(qp).batch.clear();
}

void wr_abort(ibv_qp_ex* qp) { of(qp).batch_lock.unlock(); }

// All or none: nothing is posted if there is no room for all, or if one was not built right.
int wr_complete(ibv_qp_ex* handle) {
  Qp& qp = of(handle);
  Batch& batch = qp.batch;
  int error = batch.error;
  const auto post = [&](SendPoster& poster) {
    if (poster.room() < batch.entries.size()) {
      error = ENOMEM;
      return;
    }
    for (Batch::Entry& entry : batch.entries) {
      entry.request.inline_data =
          std::span(batch.inline_data).subspan(entry.first_inline, entry.inline_bytes);
      if (entry.inline_bytes == 0) {
        entry.request.sges = std::span(batch.sges).subspan(entry.first_sge, entry.sges);
      }
      error = errno_of(poster.post(entry.request));
      if (error != 0) return;
    }
  };
  if (error == 0 && !qp.qp->send(post)) error = EIO;
  qp.batch_lock.unlock();
  return error;
}

int next_poll(ibv_cq_ex* handle) {
  Cq& cq = of(handle);
  if (cq.cq->poll(std::span(&cq.current, 1)) == 0) return ENOENT;
  handle->wr_id = cq.current.wr_id;
  handle->status = static_cast<ibv_wc_status>(cq.current.status);
  return 0;
}

void end_poll(ibv_cq_ex* handle) {
  if (!of(handle).single_threaded) of(handle).lock.unlock();
}

int start_poll(ibv_cq_ex* handle, ibv_poll_cq_attr* attributes) {
  if (attributes->comp_mask != 0) return EINVAL;
  Cq& cq = of(handle);
  if (cq.cq->size() == 0) the_engine().poll();
  if (!cq.single_threaded) cq.lock.lock();
  const int error = next_poll(handle);
  polled(error == 0);
  if (error != 0) end_poll(handle);  // a poll that found nothing is not ended by the program
  return error;
}

}  // namespace

void set_batch_calls(ibv_qp_ex& qp) {
  qp.wr_atomic_cmp_swp = wr_atomic_cmp_swp;
  qp.wr_atomic_fetch_add = wr_atomic_fetch_add;
  qp.wr_bind_mw = wr_bind_mw;
  qp.wr_local_inv = wr_local_inv;
  qp.wr_rdma_read = wr_rdma_read;
  qp.wr_rdma_write = wr_rdma_write;
  qp.wr_rdma_write_imm = wr_rdma_write_imm;
  qp.wr_send = wr_send;
  qp.wr_send_imm = wr_send_imm;
  qp.wr_send_inv = wr_send_inv;
  qp.wr_send_tso = wr_send_tso;
  qp.wr_set_ud_addr = wr_set_ud_addr;
  qp.wr_set_xrc_srqn = wr_set_xrc_srqn;
  qp.wr_set_inline_data = wr_set_inline_data;
  qp.wr_set_inline_data_list = wr_set_inline_data_list;
  qp.wr_set_sge = wr_set_sge;
  qp.wr_set_sge_list = wr_set_sge_list;
  qp.wr_start = wr_start;
  qp.wr_complete = wr_complete;
  qp.wr_abort = wr_abort;
  qp.wr_atomic_write = wr_atomic_write;
}

void set_poll_calls(ibv_cq_ex& cq) {
  cq.start_poll = start_poll;
  cq.next_poll = next_poll;
  cq.end_poll = end_poll;
  cq.read_opcode = [](ibv_cq_ex* c) { return static_cast<ibv_wc_opcode>(of(c).current.opcode); };
  cq.read_vendor_err = [](ibv_cq_ex* c) -> std::uint32_t { return of(c).current.vendor_error; };
  cq.read_byte_len = [](ibv_cq_ex* c) { return of(c).current.byte_len; };
  cq.read_imm_data = [](ibv_cq_ex* c) -> __be32 { return of(c).current.immediate; };
  cq.read_qp_num = [](ibv_cq_ex* c) { return of(c).current.qp_num; };
  cq.read_src_qp = [](ibv_cq_ex* c) { return of(c).current.src_qp; };
  cq.read_wc_flags = [](ibv_cq_ex* c) -> unsigned { return of(c).current.flags; };
  cq.read_slid = [](ibv_cq_ex*) -> std::uint32_t { return 0; };
  cq.read_sl = [](ibv_cq_ex* c) { return service_level(of(c).current); };
  cq.read_dlid_path_bits = [](ibv_cq_ex*) -> std::uint8_t { return 0; };
  cq.read_completion_ts = [](ibv_cq_ex* c) { return of(c).current.timestamp; };
  cq.read_cvlan = [](ibv_cq_ex*) -> std::uint16_t { return 0; };
  cq.read_flow_tag = [](ibv_cq_ex*) -> std::uint32_t { return 0; };
  cq.read_tm_info = [](ibv_cq_ex*, ibv_wc_tm_info* info) { *info = {}; };
  cq.read_completion_wallclock_ns = [](ibv_cq_ex*) -> std::uint64_t { return 0; };
}

}  // namespace tideline::shim::verbs
