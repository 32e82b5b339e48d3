// SPDX-License-Identifier: Apache-2.0
// What one user of the device owns, and the verbs on it: IBA chapter 11. A context stands for one
// opened device: in a program's own process there is one per ibv_open_device, in a front end one
// per client, whose end takes all its objects along.
//
// Errors of control verbs carry the errno that the verb is to return in Error::errno_value: EINVAL,
// EBUSY (still in use), ENOMEM (a limit of DeviceLimits), EOPNOTSUPP. Objects are owned by the
// context and stay where they are until they are destroyed.
//
// Thread: the engine's lock, for everything but CompletionQueue::poll and its neighbours. Nothing
// here sends: packets leave at Device::run, which whoever posted calls next.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "rdma/address.h"
#include "rdma/completion_queue.h"
#include "rdma/qp_attributes.h"
#include "rdma/queue_pair.h"
#include "rdma/regions.h"
#include "rdma/types.h"
#include "rdma/work_queue.h"
#include "rdma/work_request.h"

namespace tideline::rdma {

class Device;
struct Core;

// IBA 11.6.3. The affected object is the one of the three that is set, or none.
struct AsyncEvent {
  EventType type = EventType::kDeviceFatal;
  CompletionQueue* cq = nullptr;
  QueuePair* qp = nullptr;
  SharedReceiveQueue* srq = nullptr;
};

// Hears of what programs wait for. Called under the engine's lock; must not call back into the
// room.
class EventSink {
 public:
  // A completion of the kind that request_notification() asked for has been added.
  virtual void completion(CompletionQueue& cq) = 0;
  virtual void asynchronous(const AsyncEvent& event) = 0;

 protected:
  ~EventSink() = default;
};

struct AddressHandle {
  ProtectionDomain* pd = nullptr;
  AddressVector vector{};
  Route route{};
  void* user = nullptr;
};

struct SrqInit {
  std::uint32_t max_wr = 0;
  std::uint32_t max_sge = 0;
  std::uint32_t limit = 0;
  void* user = nullptr;
};

struct SrqChange {
  bool resize = false;
  bool set_limit = false;
  std::uint32_t max_wr = 0;
  std::uint32_t limit = 0;
};

class Context {
 public:
  // Made by Device::open.
  Context(Device& device, MemoryAccess& memory, EventSink& sink);
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context();

  Device& device() const { return device_; }
  MemoryAccess& memory() const { return memory_; }
  EventSink& sink() const { return sink_; }

  Result<ProtectionDomain*> alloc_pd(void* user = nullptr);
  Status dealloc_pd(ProtectionDomain& pd);

  Result<MemoryRegion*> register_region(ProtectionDomain& pd, const MemoryRegionInit& init);
  // The key stays. On failure the region is as it was.
  Status reregister_region(MemoryRegion& region, const MemoryRegionChange& change);
  Status deregister_region(MemoryRegion& region);

  Result<MemoryWindow*> alloc_window(ProtectionDomain& pd, WindowType type, void* user = nullptr);
  Status dealloc_window(MemoryWindow& window);

  Result<CompletionQueue*> create_cq(std::uint32_t entries, void* user = nullptr);
  Status resize_cq(CompletionQueue& cq, std::uint32_t entries);
  Status destroy_cq(CompletionQueue& cq);

  Result<SharedReceiveQueue*> create_srq(ProtectionDomain& pd, const SrqInit& init);
  Status modify_srq(SharedReceiveQueue& srq, const SrqChange& change);
  Status destroy_srq(SharedReceiveQueue& srq);

  // In RESET. `capacity` in its init then says what it got, at least what was asked for.
  Result<QueuePair*> create_qp(ProtectionDomain& pd, const QpInit& init);
  Status modify_qp(QueuePair& qp, const QpAttributes& attributes, std::uint32_t mask, Instant now);
  // The attributes as they are now: PSNs are those that the next packets have.
  QpAttributes query_qp(const QueuePair& qp) const;
  Status destroy_qp(QueuePair& qp);

  Result<AddressHandle*> create_ah(ProtectionDomain& pd, const AddressVector& vector,
                                   void* user = nullptr);
  Status destroy_ah(AddressHandle& ah);

  // Data path. For kBindWindow, also IBA's "bind memory window" of type 1.
  Posted post_send(QueuePair& qp, const SendRequest& request, Instant now);
  Posted post_recv(QueuePair& qp, const ReceiveRequest& request, Instant now);
  Posted post_srq_recv(SharedReceiveQueue& srq, const ReceiveRequest& request);

 private:
  Posted check_send(const QueuePair& qp, const SendRequest& request) const;
  Status check_attributes(const QueuePair& qp, const QpAttributes& attributes,
                          std::uint32_t mask) const;
  void apply(QueuePair& qp, const QpAttributes& attributes, std::uint32_t mask);
  void enter(QueuePair& qp, QpState state, Instant now);

  Core& core() const;

  Device& device_;
  MemoryAccess& memory_;
  EventSink& sink_;
  std::vector<std::unique_ptr<ProtectionDomain>> pds_;
  std::vector<std::unique_ptr<MemoryRegion>> regions_;
  std::vector<std::unique_ptr<MemoryWindow>> windows_;
  std::vector<std::unique_ptr<CompletionQueue>> cqs_;
  std::vector<std::unique_ptr<SharedReceiveQueue>> srqs_;
  std::vector<std::unique_ptr<QueuePair>> qps_;
  std::vector<std::unique_ptr<AddressHandle>> ahs_;
};

}  // namespace tideline::rdma
