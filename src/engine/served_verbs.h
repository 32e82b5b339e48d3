// SPDX-License-Identifier: Apache-2.0
// The verbs of one channel: its objects by handle, its calls, its memory. docs/queue-pair.md,
// "Verbs". Thread: the worker's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <utility>
#include <vector>

#include "base/time.h"
#include "engine/client_memory.h"
#include "engine/end_reason.h"
#include "engine/served_rdma.h"
#include "engine/served_work.h"
#include "queue/verbs.h"

namespace tideline::engine {

class QueueServer;
class ServedChannel;

// What counts against a user's quotas.
struct RdmaUse {
  std::size_t queue_pairs = 0;
  std::size_t objects = 0;     // of all kinds
  std::size_t registered = 0;  // bytes
};

class ServedVerbs {
 public:
  // All outlive it.
  ServedVerbs(QueueServer& server, ServedChannel& channel, ServedRdma& rdma);
  ServedVerbs(const ServedVerbs&) = delete;
  ServedVerbs& operator=(const ServedVerbs&) = delete;
  // Everything goes, as if the program had closed its devices.
  ~ServedVerbs();

  // A call of the program, from a copy of it; what is in `response` already is zero. An errno.
  std::expected<int, EndReason> execute(const queue::VerbsRequest& request,
                                        queue::VerbsResponse& response, Instant now);
  // Some object with that hint: takes what was posted. Whether there is more.
  VerbsObject::Looked look(unsigned hint, Instant now);
  // The descriptor of the program's heap, which stays ours; -1: there is none to be had.
  int make_heap();
  std::size_t heap_size() const { return memory_.heap_size(); }
  // The rest of the program's memory, in its own hands as ours.
  ClientMemory& program() { return memory_; }

  // --- For its objects.
  ServedRdma& rdma() const { return rdma_; }
  rdma::MemoryAccess& memory() { return memory_; }
  void ring(std::uint16_t waiter);
  // Null: there is no such object, of that kind, of that device.
  template <typename Object>
  Object* find(std::uint32_t handle, const ServedDevice& device) const {
    Object* object = find<Object>(handle);
    return object != nullptr && object->device() == &device ? object : nullptr;
  }

 private:
  using Done = std::expected<int, EndReason>;

  template <typename Object>
  Object* find(std::uint32_t handle) const {
    if (handle >= objects_.size() || objects_[handle] == nullptr) return nullptr;
    VerbsObject& object = *objects_[handle];
    return object.kind() == Object::kKind ? static_cast<Object*>(&object) : nullptr;
  }
  bool charge(const RdmaUse& use);
  void release(const RdmaUse& use);
  // Keeps an object that was charged for.
  std::uint32_t add(std::unique_ptr<VerbsObject> object);
  void drop(std::uint32_t handle);
  // All that the program has posted to objects that it has hinted.
  bool may_send_from(std::uint8_t gid_index) const;
  bool is_bound(const ServedDevice& device) const;
  std::size_t bytes_of(const VerbsObject& object) const;

  Done open(const queue::VerbsRequest& request, queue::VerbsResponse& response);
  Done close(std::uint32_t handle);
  Done tell_device(queue::VerbsResponse& response) const;
  Done tell_gid(std::uint32_t index, queue::VerbsResponse& response) const;
  Done alloc_pd(const queue::VerbsRequest& request, queue::VerbsResponse& response);
  Done register_region(const queue::VerbsRequest& request, queue::VerbsResponse& response);
  Done reregister(const queue::VerbsRequest& request, queue::VerbsResponse& response);
  Done alloc_window(const queue::VerbsRequest& request, queue::VerbsResponse& response);
  Done create_cq(const queue::VerbsRequest& request, queue::VerbsResponse& response);
  Done resize_cq(const queue::VerbsRequest& request, queue::VerbsResponse& response);
  Done create_srq(const queue::VerbsRequest& request, queue::VerbsResponse& response);
  Done modify_srq(const queue::VerbsRequest& request, queue::VerbsResponse& response);
  Done query_srq(const queue::VerbsRequest& request, queue::VerbsResponse& response) const;
  Done create_qp(const queue::VerbsRequest& request, queue::VerbsResponse& response);
  Done modify_qp(const queue::VerbsRequest& request, queue::VerbsResponse& response, Instant now);
  Done query_qp(const queue::VerbsRequest& request, queue::VerbsResponse& response) const;
  Done create_ah(const queue::VerbsRequest& request, queue::VerbsResponse& response);
  Done has_way(const queue::VerbsRequest& request, queue::VerbsResponse& response, Instant now);
  Done destroy(std::uint32_t handle);

  QueueServer& server_;
  ServedChannel& channel_;
  ServedRdma& rdma_;
  ClientMemory memory_;
  RdmaUse use_;
  // By handle; 0 is none.
  std::vector<std::unique_ptr<VerbsObject>> objects_;
  std::vector<std::uint32_t> free_handles_;
};

}  // namespace tideline::engine
