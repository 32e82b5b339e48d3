// SPDX-License-Identifier: Apache-2.0
// The objects that programs hold: the structures of verbs.h first, so that a pointer to one is a
// pointer to the other, and behind them what they stand for in the engine.
//
// Lifetime: as in libibverbs, from create to destroy by the program. Thread: as verbs say, any; a
// lock per completion queue and per queue pair where two threads may meet.
#pragma once

#include <infiniband/verbs.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <type_traits>
#include <vector>

#include "base/clock.h"
#include "shim/verbs/engine.h"

namespace tideline::shim::verbs {

// Of a completion queue, between the program's threads: held for the length of a poll.
class SpinLock {
 public:
  void lock() {
    while (held_.exchange(true, std::memory_order_acquire)) cpu_relax();
  }
  void unlock() { held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> held_{false};
};

struct Context;

struct Channel {
  ibv_comp_channel base{};
  std::unique_ptr<EventChannel> events;  // of Cq
};

struct Pd {
  ibv_pd base{};
  std::unique_ptr<Domain> own;
  Domain* pd = nullptr;      // its own, or that of the domain that it stands for
  ibv_pd* parent = nullptr;  // of a parent domain: the one it stands for
};

struct Mr {
  ibv_mr base{};
  std::unique_ptr<Region> region;
};

struct Mw {
  ibv_mw base{};
  std::unique_ptr<Window> window;
};

struct Ah {
  ibv_ah base{};
  std::unique_ptr<Address> ah;
};

struct Cq {
  ibv_cq_ex base{};  // overlays ibv_cq
  std::unique_ptr<Completions> cq;
  SpinLock lock;
  bool single_threaded = false;  // IBV_CREATE_CQ_ATTR_SINGLE_THREADED
  rdma::Completion current{};    // of ibv_start_poll and its neighbours
  // Events given to the program, to be acknowledged before the queue goes.
  std::uint32_t completion_events = 0;
  std::uint32_t async_events = 0;

  ibv_cq* base_cq() { return ibv_cq_ex_to_cq(&base); }
};

struct Srq {
  ibv_srq base{};
  std::unique_ptr<SharedReceives> srq;
  std::uint32_t async_events = 0;
};

// Work requests between ibv_wr_start and ibv_wr_complete.
struct Batch {
  struct Entry {
    rdma::SendRequest request;
    std::size_t first_sge = 0;
    std::size_t sges = 0;
    std::size_t first_inline = 0;
    std::size_t inline_bytes = 0;
  };
  std::vector<Entry> entries;
  std::vector<rdma::Sge> sges;
  std::vector<std::byte> inline_data;
  int error = 0;  // of the first bad request

  void clear();
};

struct Qp {
  ibv_qp_ex base{};  // its first member is the ibv_qp
  std::unique_ptr<QueuePair> qp;
  Batch batch;
  std::mutex batch_lock;  // from ibv_wr_start to ibv_wr_complete or ibv_wr_abort
  std::uint32_t async_events = 0;
  bool has_batch = false;  // made with send_ops_flags: IBV_QP_INIT_ATTR_SEND_OPS_FLAGS
};

static_assert(std::is_standard_layout_v<ibv_qp_ex>);
static_assert(offsetof(ibv_qp_ex, qp_base) == 0);
static_assert(offsetof(ibv_cq_ex, async_events_completed) ==
              offsetof(ibv_cq, async_events_completed));

// An opened device.
struct Context {
  verbs_context base{};  // ends in the ibv_context that the program holds
  std::unique_ptr<OpenDevice> device;

  ibv_context* handle() { return &base.context; }
};

// From what the program holds to ours.
Context& context_of(ibv_context* context);
inline Pd& of(ibv_pd* pd) { return *reinterpret_cast<Pd*>(pd); }
inline Mr& of(ibv_mr* mr) { return *reinterpret_cast<Mr*>(mr); }
inline Mw& of(ibv_mw* mw) { return *reinterpret_cast<Mw*>(mw); }
inline Ah& of(ibv_ah* ah) { return *reinterpret_cast<Ah*>(ah); }
inline Cq& of(ibv_cq* cq) { return *reinterpret_cast<Cq*>(cq); }
inline Cq& of(ibv_cq_ex* cq) { return *reinterpret_cast<Cq*>(cq); }
inline Srq& of(ibv_srq* srq) { return *reinterpret_cast<Srq*>(srq); }
inline Qp& of(ibv_qp* qp) { return *reinterpret_cast<Qp*>(qp); }
inline Qp& of(ibv_qp_ex* qp) { return *reinterpret_cast<Qp*>(qp); }
inline Channel& of(ibv_comp_channel* channel) { return *reinterpret_cast<Channel*>(channel); }

}  // namespace tideline::shim::verbs
