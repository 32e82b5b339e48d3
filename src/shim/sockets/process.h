// SPDX-License-Identifier: Apache-2.0
// What the shim knows for its whole process: its settings, the engine's sockets once one is needed,
// waiters to borrow, counts. Thread: any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "client/sockets.h"

namespace tideline::shim::sockets {

// What passed to which side, for --stats.
enum class Count : std::uint8_t {
  kOurs,       // sockets that became tideline's: listeners, connections, datagram sockets
  kBoth,       // of these, those that listen on the kernel's addresses too
  kAccepted,   // connections accepted on our side
  kPassed,     // INET sockets left to the kernel
  kRefused,    // by --strict
  kAfterFork,  // made in a forked child of a process with an engine: the kernel's
  kOther,      // sockets of other families
  kCount,
};

class Process {
 public:
  // The engine's sockets; starts it at the first call. Null if it cannot be started, which is told
  // once, and in a forked child of a process that has one.
  client::Sockets* sockets() {
    client::Sockets* found = sockets_.load(std::memory_order_acquire);
    return found != nullptr ? found : join();
  }
  // Those of an engine that runs already, in this process or in its parent; else null.
  client::Sockets* running() const { return sockets_.load(std::memory_order_acquire); }
  // The engine is being started, by this thread: its own descriptors are none of the program's.
  bool is_starting() const;
  bool is_strict() const { return strict_; }
  bool takes_localhost() const { return localhost_; }
  // A child of a process whose engine runs, which has no engine.
  bool is_forked() const { return forked_; }
  // Says so, once.
  void tell_forked();
  // Says, once, what a call that failed with EMFILE or ENOBUFS has run out of. errno stays.
  void tell_exhausted(int error);

  void count(Count what) {
    counts_[static_cast<std::size_t>(what)].fetch_add(1, std::memory_order_relaxed);
  }

  // A waiter of the engine's sockets. Null: there is no engine yet, or no descriptor was to be had.
  std::unique_ptr<client::Waiter> take_waiter();
  void give_waiter(std::unique_ptr<client::Waiter> waiter);

 private:
  friend void start_process();

  client::Sockets* join();
  void report() const;
  static void finish_at_exit();
  static void report_at_exit();
  static void before_fork();
  static void after_fork_in_parent();
  static void after_fork_in_child();

  std::atomic<client::Sockets*> sockets_{nullptr};
  std::mutex mutex_;  // start
  bool failed_ = false;
  bool strict_ = false;
  bool localhost_ = false;
  bool stats_ = false;
  bool forked_ = false;
  bool forked_told_ = false;
  std::atomic<bool> descriptors_told_{false};
  std::atomic<bool> quota_told_{false};
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Count::kCount)> counts_{};
};

// DEVIATES: a global, as in fd_table.h.
extern constinit Process process;

// A waiter for the time of a call.
class BorrowedWaiter {
 public:
  BorrowedWaiter() : waiter_(process.take_waiter()) {}
  ~BorrowedWaiter() {
    if (waiter_ != nullptr) process.give_waiter(std::move(waiter_));
  }
  BorrowedWaiter(const BorrowedWaiter&) = delete;
  BorrowedWaiter& operator=(const BorrowedWaiter&) = delete;

  explicit operator bool() const { return waiter_ != nullptr; }
  client::Waiter* operator->() const { return &*waiter_; }
  client::Waiter& operator*() const { return *waiter_; }

 private:
  std::unique_ptr<client::Waiter> waiter_;
};

}  // namespace tideline::shim::sockets
