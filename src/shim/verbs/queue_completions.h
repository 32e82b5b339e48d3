// SPDX-License-Identifier: Apache-2.0
// Completion queues of a front end's device, and the channels that tell of them. Thread: any; what
// engine.h says of each.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "shim/verbs/queue_engine.h"
#include "shim/verbs/queue_rings.h"

namespace tideline::shim::verbs {

// A doorbell whose bytes are counted: one for each event, so that the descriptor is readable while
// there are any.
class EventBell {
 public:
  EventBell(QueueEngine& engine, std::unique_ptr<client::Waiter> waiter)
      : engine_(engine), waiter_(std::move(waiter)) {}
  EventBell(const EventBell&) = delete;
  EventBell& operator=(const EventBell&) = delete;
  ~EventBell() { engine_.give_waiter(std::move(waiter_)); }

  int fd() const { return waiter_->doorbell(); }
  std::uint16_t number() const { return waiter_->number(); }
  // Waits as the descriptor does. False with errno set.
  bool wait() const {
    std::byte ring{};
    return ::read(fd(), &ring, 1) == 1;
  }
  // Takes the bytes of events that nobody will fetch.
  void take_back(std::size_t count) const {
    std::byte ring{};
    while (count-- > 0 && ::recv(fd(), &ring, 1, MSG_DONTWAIT) == 1) continue;
  }
  // There are more events: a byte for them may have found no room.
  void keep_ringing() const {
    std::byte ring{};
    if (::recv(fd(), &ring, 1, MSG_DONTWAIT | MSG_PEEK) != 1) waiter_->ring();
  }

 private:
  QueueEngine& engine_;
  std::unique_ptr<client::Waiter> waiter_;
};

class QueueCompletions;

class QueueEvents final : public EventChannel {
 public:
  QueueEvents(QueueEngine& engine, std::unique_ptr<client::Waiter> waiter)
      : engine_(engine), bell_(engine, std::move(waiter)) {}
  int fd() const override { return bell_.fd(); }
  void* pop() override;
  void forget(const void* user) override;

  std::uint16_t number() const { return bell_.number(); }
  void add(QueueCompletions& cq) {
    const std::scoped_lock lock(mutex_);
    queues_.push_back(&cq);
  }

 private:
  QueueEngine& engine_;
  EventBell bell_;
  std::mutex mutex_;
  std::vector<QueueCompletions*> queues_;
};

class QueueCompletions final : public Completions {
 public:
  QueueCompletions(QueueEngine& engine, void* user, QueueEvents* events)
      : engine_(engine), user_(user), events_(events) {}
  // False: its memory cannot be mapped.
  bool open(const queue::VerbsResponse& made);
  Status destroy() override { return engine_.destroy(handle_); }
  std::uint32_t entries() const override { return ring_.entries(); }
  std::uint32_t size() override;
  std::size_t poll(std::span<rdma::Completion> out) override;
  void request_notification(rdma::CompletionQueue::Notify kind) override { ring_.arm(kind); }
  Status resize(std::uint32_t entries) override;

  void* user() const { return user_; }
  std::uint32_t handle() const { return handle_; }
  CompletionRing& ring() { return ring_; }
  // Whose requests complete here.
  void add(WorkRing* ring, std::uint32_t qp_num, rdma::WcOpcode opcode);
  void remove(std::uint32_t qp_num);

 private:
  struct Source {
    WorkRing* ring;
    std::uint32_t qp_num;
    rdma::WcOpcode opcode;
  };

  std::size_t flush(std::span<rdma::Completion> out);

  QueueEngine& engine_;
  void* const user_;
  QueueEvents* const events_;
  std::uint32_t handle_ = 0;
  CompletionRing ring_;
  std::mutex mutex_;
  std::vector<Source> sources_;
};

}  // namespace tideline::shim::verbs
