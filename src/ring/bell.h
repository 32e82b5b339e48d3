// SPDX-License-Identifier: Apache-2.0
// What wakes a sleeper. Ringing is a system call: a notifier asks its Notifier first.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/error.h"
#include "base/fd.h"
#include "base/time.h"

namespace tideline::ring {

// A bell with a descriptor (eventfd), so that its owner can sleep on it together with sockets and
// devices. Rings before the sleep are kept and several count as one. Thread: ring on any, sleep on
// one.
//
// Among processes that trust each other: whoever holds the descriptor can make it blocking and fill
// it, and then the next ring() hangs. Across a trust boundary a byte is sent into a socketpair with
// MSG_DONTWAIT instead, which nobody else can turn into waiting.
class EventBell {
 public:
  static Result<EventBell> create();
  // The bell of another process, by the eventfd that it has passed.
  static EventBell attach(UniqueFd fd) { return EventBell(std::move(fd)); }

  void ring() const;
  // Takes the rings that have come so far; the descriptor is not readable afterwards.
  void silence() const;
  // Sleeps until a ring, or until `timeout` has passed; takes the ring. Returns whether there was
  // one. A signal may end the sleep early. kForever sleeps without limit.
  bool sleep(Duration timeout) const;

  int fd() const { return fd_.get(); }

 private:
  explicit EventBell(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

inline constexpr Duration kForever = Duration::max();

// A bell without a descriptor, for a waiter with nothing else to wait for: a futex on a counter in
// shared memory that notifiers must be able to write. Rings before the sleep are kept, several
// count as one. Thread: ring on any, sleep on one. See futex(2).
class FutexBell {
 public:
  // `rings` outlives the bell; zero at first.
  explicit FutexBell(std::atomic<std::uint32_t>& rings)
      : rings_(&rings), seen_(rings.load(std::memory_order_relaxed)) {}

  void ring();
  // As EventBell::sleep.
  bool sleep(Duration timeout);

 private:
  std::atomic<std::uint32_t>* rings_;
  std::uint32_t seen_;
};

}  // namespace tideline::ring
