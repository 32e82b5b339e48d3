// SPDX-License-Identifier: Apache-2.0
// One process's channel to a front end: attach, calls, hints, waiters. docs/queue-pair.md.
//
// A front end that has gone is noticed by a thread of this process, asleep until then: it rings all
// waiters, and calls fail with kReset.
//
// Thread: any. A call is whole: it is not cancelled, and a signal handler that interrupts it on the
// same thread gets kForked from calls of its own.
#pragma once

#include <pthread.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/mapping.h"
#include "client/family_view.h"
#include "client/types.h"
#include "client/waiter.h"
#include "queue/channel.h"
#include "queue/doorbell.h"
#include "queue/messages.h"
#include "ring/spin_budget.h"

namespace tideline::client {

class QueueChannel {
 public:
  // To the front end that listens at `path`. `program` is for its people.
  static Result<std::unique_ptr<QueueChannel>> attach(const std::string& path,
                                                      const std::string& program);
  QueueChannel(const QueueChannel&) = delete;
  QueueChannel& operator=(const QueueChannel&) = delete;

  // Number + 1, in locks of pages.
  std::uint32_t lock_word() const { return std::uint32_t{number_} + 1; }
  std::uint16_t number() const { return number_; }
  bool is_gone() const { return gone_.load(std::memory_order_acquire); }

  // Done when it returns, or refused.
  Outcome<queue::Response> call(const queue::Request& request);
  // The same of a verb; its own refusals are in the response.
  Outcome<queue::VerbsResponse> call_verbs(const queue::VerbsRequest& request);
  Outcome<void> change_keys(std::uint32_t handle, const queue::KeyRecord& key);
  Outcome<queue::KeyStateRecord> read_key(std::uint32_t handle, std::uint32_t index);
  // Done some time before the next call.
  void post(const queue::Request& request);
  // The socket's page is to be looked at.
  void hint(std::uint32_t handle);

  // Null: there is none, or no memory.
  queue::SocketPage* page(const queue::Response& where);
  FamilyView* family(std::uint32_t number);
  // The one that this process has founded.
  FamilyView* own_family();

  // docs/queue-pair.md: kToken, and kAdopt, which gives a handle.
  Outcome<UniqueFd> token(std::uint32_t handle);
  Outcome<std::uint32_t> adopt(int token);

  // docs/queue-pair.md: kHeap. Nothing: there is none.
  UniqueFd heap(std::uint64_t& size);
  // The same, kMemory: the engine may look into this process, if it will.
  void give_memory();

  // Null: no descriptor was to be had, or kWaiters are in use.
  std::unique_ptr<Waiter> make_waiter();

  // Whether it needs that descriptor, of this process.
  bool keeps(int descriptor) const {
    const auto number = static_cast<unsigned>(descriptor);
    return number < kMostNumbers &&
           (kept_[number / 64].load(std::memory_order_relaxed) >> number % 64 & 1) != 0;
  }

  // Around fork(). A child of a channel that could not be made is told that the front end is gone.
  void before_fork();
  void after_fork_in_parent();
  void after_fork_in_child();
  // In a child that leaves the channel to its parent: it holds nothing of it any more.
  void abandon();

 private:
  QueueChannel() = default;

  Status join(UniqueFd socket, const queue::Welcome& welcome, std::vector<UniqueFd> fds);
  Result<queue::Welcome> receive_welcome(int socket, std::vector<UniqueFd>& fds);
  void watch_for_the_end();
  static void* watch(void* channel);
  void tell_end(std::uint16_t waiter);
  bool begin_call();
  void end_call();
  Outcome<queue::WishAnswer> wish(const queue::WishMessage& message, std::span<const int> fds,
                                  UniqueFd* received);
  void submit(const queue::Request& request);
  UniqueFd keep(UniqueFd fd);
  void keep_no_more();
  bool wait_for_answer();

  static constexpr unsigned kMostNumbers = 65536;
  std::array<std::atomic<std::uint64_t>, kMostNumbers / 64> kept_{};

  UniqueFd socket_;
  UniqueFd bell_;  // the engine's
  UniqueFd end_;   // tells of the attach socket's end
  Mapping memory_;
  queue::ChannelMemory* channel_ = nullptr;
  std::uint16_t number_ = 0;
  std::atomic<std::uint64_t> rung_for_{0};
  std::atomic<bool> gone_{false};

  std::mutex call_mutex_;
  std::atomic<pthread_t> caller_{};
  ring::SpinBudget budget_;

  std::mutex families_mutex_;
  std::vector<std::unique_ptr<FamilyView>> families_;

  std::mutex waiters_mutex_;
  std::uint16_t waiters_ = 0;
  std::vector<int> doorbells_;  // ringers of all waiters, for the end

  // Between before_fork() and what follows it.
  struct Child {
    UniqueFd socket;
    queue::Welcome welcome;
    std::vector<UniqueFd> fds;
  };
  std::unique_ptr<Child> child_;
  bool in_call_ = false;
};

}  // namespace tideline::client
