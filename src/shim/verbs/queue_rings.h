// SPDX-License-Identifier: Apache-2.0
// The program's side of the rings that it shares with a front end: queue/verbs.h. The engine is
// believed, as the kernel is. Thread: what each class says.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>

#include "queue/verbs.h"
#include "rdma/completion_queue.h"
#include "rdma/types.h"
#include "rdma/work_request.h"
#include "shim/verbs/engine.h"

namespace tideline::shim::verbs {

class QueueEngine;

// Handles of the engine's objects, in the `user` of what stands for them here.
inline void* to_user(std::uint32_t handle) {
  // NOLINTNEXTLINE(performance-no-int-to-ptr): never a pointer
  return reinterpret_cast<void*>(std::uintptr_t{handle});
}
inline std::uint32_t to_handle(const void* user) {
  return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(user));
}

// One thread at a time; take_event() and its neighbours: another one.
class CompletionRing {
 public:
  // The first, or one that goes on with what the last held. False: there is none.
  bool open(std::span<std::byte> piece, std::uint32_t entries);

  std::uint32_t entries() const { return mask_ + 1; }
  std::uint32_t size() const {
    return indices_->produced.load(std::memory_order_acquire) - consumed_;
  }
  struct Polled {
    std::size_t count = 0;
    bool made_room = false;  // the engine has waited for it
  };
  Polled poll(std::span<rdma::Completion> out);
  void arm(rdma::CompletionQueue::Notify kind);

  // An event that was told.
  bool has_event() const {
    return indices_->events.load(std::memory_order_acquire) != events_taken_;
  }
  bool take_event() {
    if (!has_event()) return false;
    ++events_taken_;
    return true;
  }
  // Whether somebody waited for a completion.
  bool disarm() { return indices_->armed.exchange(0, std::memory_order_acq_rel) != 0; }

 private:
  queue::CompletionIndices* indices_ = nullptr;
  queue::CompletionRecord* records_ = nullptr;
  std::uint32_t mask_ = 0;
  std::uint32_t consumed_ = 0;
  std::uint32_t events_taken_ = 0;
};

// A ring of work requests. Any thread, but for what opens it.
class WorkRing {
 public:
  // False: there is none.
  bool open_sends(std::span<std::byte> piece, const queue::PlaceRecord& place,
                  const rdma::SendShape& shape);
  bool open_receives(std::span<std::byte> piece, const queue::PlaceRecord& place,
                     std::uint32_t max_sge);
  bool open_shared(std::span<std::byte> piece, const queue::PlaceRecord& place,
                   std::uint32_t max_sge);

  // Nobody posts while `body` runs; then it goes on at the place that `body` gives, with the
  // requests that it has. False: there is none.
  using Move = std::function<bool(std::span<std::byte>& piece, queue::PlaceRecord& place)>;
  bool move_shared(const Move& body);

  bool send(QueueEngine& engine, std::uint32_t handle, const std::atomic<rdma::QpState>& state,
            const Sends& body);
  // `state`: null of shared ones.
  bool receive(QueueEngine& engine, std::uint32_t handle, const Receives& body,
               const std::atomic<rdma::QpState>* state = nullptr);
  // Of an engine that has gone: the oldest that it has not completed. False: there is none.
  bool flush_one(std::uint64_t& wr_id);

 private:
  class Sender;
  class Receiver;

  std::uint32_t room() const {
    return slots_ - (written_ - indices_->retired.load(std::memory_order_acquire));
  }
  std::byte* slot(std::uint32_t number) const {
    return data_ + std::size_t{number & (slots_ - 1)} * stride_;
  }
  void publish(QueueEngine& engine, std::uint32_t handle);

  std::mutex mutex_;
  queue::WorkIndices* indices_ = nullptr;
  std::byte* data_ = nullptr;
  std::uint32_t slots_ = 0;
  std::uint32_t stride_ = 0;
  rdma::SendShape shape_{};  // of receives: max_sge
  std::uint32_t written_ = 0;
  std::uint32_t flushed_ = 0;  // behind the last that was
  bool flushes_ = false;
};

// Events of the device. One thread at a time.
class EventRing {
 public:
  bool open(std::span<std::byte> piece);
  bool empty() const { return indices_->produced.load(std::memory_order_acquire) == consumed_; }
  bool take(queue::EventRecord& record);
  // Those of an object that goes; how many.
  std::size_t remove(std::uint32_t handle);

 private:
  queue::EventIndices* indices_ = nullptr;
  queue::EventRecord* records_ = nullptr;
  std::uint32_t consumed_ = 0;
};

}  // namespace tideline::shim::verbs
