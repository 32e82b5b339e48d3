// SPDX-License-Identifier: Apache-2.0
// Send queues, receive queues and shared receive queues: rings of requests that wait or are under
// way. All memory is taken when the queue is made. IBA 10.2.4, 10.8.2, 10.2.9. Thread: the engine's
// lock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "rdma/address.h"
#include "rdma/psn.h"
#include "rdma/work_request.h"

namespace tideline::rdma {

class Context;

// A posted send request.
struct SendWqe {
  SendRequest request;        // its `sges` point into the queue
  std::uint32_t length = 0;   // bytes of payload, or asked for
  Psn first_psn;              // once it is being sent
  Psn ssn;                    // its number among the messages of the queue pair: 9.7.7.2
  std::uint32_t packets = 1;  // PSNs that it takes; 0 for what stays here
  bool started = false;       // it has its PSNs
  bool finished = false;      // nothing is to come but its turn to complete
  WcStatus status = WcStatus::kSuccess;
  Route route{};  // UD
};

class SendQueue {
 public:
  SendQueue() = default;
  // Rounds up to powers of two. `inline_size` bytes of each slot hold inline data.
  SendQueue(std::uint32_t capacity, std::uint32_t max_sge, std::uint32_t inline_size);

  std::uint32_t capacity() const { return static_cast<std::uint32_t>(slots_.size()); }
  std::uint32_t max_sge() const { return max_sge_; }
  std::uint32_t inline_size() const { return inline_size_; }

  // Requests [head, tail) are outstanding; the numbers grow and wrap.
  std::uint32_t head() const { return head_; }
  std::uint32_t tail() const { return tail_; }
  bool empty() const { return head_ == tail_; }
  bool full() const { return tail_ - head_ == capacity(); }
  SendWqe& at(std::uint32_t number) { return slots_[number & mask_]; }
  const SendWqe& at(std::uint32_t number) const { return slots_[number & mask_]; }

  // The slot behind the last, with room for the pieces or the inline data; push() makes it count.
  SendWqe& slot() { return at(tail_); }
  std::span<Sge> slot_sges() {
    return std::span(sges_).subspan((tail_ & mask_) * std::size_t{max_sge_}, max_sge_);
  }
  std::span<std::byte> slot_inline() {
    return std::span(inline_).subspan((tail_ & mask_) * std::size_t{inline_size_}, inline_size_);
  }
  // The inline data of a request.
  std::span<const std::byte> inline_data(std::uint32_t number) const {
    return std::span(inline_).subspan((number & mask_) * std::size_t{inline_size_},
                                      at(number).length);
  }
  void push() { ++tail_; }
  void pop() { ++head_; }
  void clear() { head_ = tail_ = 0; }

 private:
  std::vector<SendWqe> slots_;
  std::vector<Sge> sges_;
  std::vector<std::byte> inline_;
  std::uint32_t mask_ = 0;
  std::uint32_t max_sge_ = 0;
  std::uint32_t inline_size_ = 0;
  std::uint32_t head_ = 0;
  std::uint32_t tail_ = 0;
};

// A receive request that a message consumes: a copy, so that its slot is free at once.
struct ReceiveWqe {
  std::uint64_t wr_id = 0;
  std::uint64_t length = 0;  // of all pieces
  std::uint32_t sge_count = 0;
  std::array<Sge, kMaxSge> sges;
};

// What its owner has posted where the queue does not see it: a ring in memory that both share.
class ReceiveSource {
 public:
  // Brings what there is, and has room. May be called while a message waits for a request.
  virtual void refill() = 0;

 protected:
  ~ReceiveSource() = default;
};

class ReceiveQueue {
 public:
  ReceiveQueue() = default;
  ReceiveQueue(std::uint32_t capacity, std::uint32_t max_sge);

  std::uint32_t capacity() const { return static_cast<std::uint32_t>(slots_.size()); }
  std::uint32_t max_sge() const { return max_sge_; }
  std::uint32_t size() const { return tail_ - head_; }
  bool empty() const { return head_ == tail_; }

  Posted post(const ReceiveRequest& request);
  // Takes the oldest; false if there is none.
  bool take(ReceiveWqe& out);
  // Must outlive the queue.
  void set_source(ReceiveSource& source) { source_ = &source; }
  // What was posted before the peer sent a message is here before that message looks for it.
  void refill() {
    if (empty() && source_ != nullptr) source_->refill();
  }
  void clear() { head_ = tail_ = 0; }
  // SRQ resize. Those that wait stay.
  void resize(std::uint32_t capacity);

 private:
  struct Slot {
    std::uint64_t wr_id = 0;
    std::uint32_t sge_count = 0;
  };
  ReceiveSource* source_ = nullptr;
  std::vector<Slot> slots_;
  std::vector<Sge> sges_;
  std::uint32_t mask_ = 0;
  std::uint32_t max_sge_ = 0;
  std::uint32_t head_ = 0;
  std::uint32_t tail_ = 0;
};

// IBA 10.2.9.
struct SharedReceiveQueue {
  ProtectionDomain* pd = nullptr;
  std::uint32_t number = 0;
  ReceiveQueue queue;
  std::uint32_t limit = 0;  // 0: disarmed. Fewer requests than this: EventType::kSrqLimitReached
  std::uint32_t users = 0;  // queue pairs
  void* user = nullptr;
};

}  // namespace tideline::rdma
