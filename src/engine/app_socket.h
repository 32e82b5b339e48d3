// SPDX-License-Identifier: Apache-2.0
// What streams and datagram sockets of a program have in common: who is to be told of them.
// Thread: under the engine's gate.
#pragma once

#include <sched.h>

#include <atomic>
#include <cstddef>
#include <span>
#include <vector>

#include "client/sockets.h"

namespace tideline::engine {

class Watchers {
 public:
  void add(client::Waiter& waiter, unsigned hint) {
    list_.push_back({.waiter = &waiter, .hint = hint});
  }
  void remove(client::Waiter& waiter, unsigned hint) {
    std::erase_if(list_,
                  [&](const Each& each) { return each.waiter == &waiter && each.hint == hint; });
  }
  void clear() { list_.clear(); }
  void tell() const {
    for (const Each& each : list_) each.waiter->hint(each.hint);
  }

 private:
  struct Each {
    client::Waiter* waiter;
    unsigned hint;
  };

  std::vector<Each> list_;
};

// One call at a time, of threads that share a socket: rarely contended.
class CallLock {
 public:
  class Guard {
   public:
    explicit Guard(CallLock& lock) : lock_(lock) {
      while (lock_.taken_.exchange(true, std::memory_order_acquire)) ::sched_yield();
    }
    ~Guard() { lock_.taken_.store(false, std::memory_order_release); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    CallLock& lock_;
  };

 private:
  std::atomic<bool> taken_{false};
};

inline std::size_t size_of(std::span<const iovec> parts) {
  std::size_t size = 0;
  for (const iovec& part : parts) size += part.iov_len;
  return size;
}

}  // namespace tideline::engine
