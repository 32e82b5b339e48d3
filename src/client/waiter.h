// SPDX-License-Identifier: Apache-2.0
// A waiting context: an epoll instance, or a thread in poll or a blocking call. The engine leaves
// hints in it, which socket to look at, and rings its doorbell if somebody sleeps. A wait costs
// what is ready, not what is watched; docs/adr/0005.
//
//   engine                               client
//   hint(n): see queue/hint_board.h      take_hints(): where to look
//            rings if armed, once        arm(), look once more, sleep on doorbell(), disarm()
//
// Thread: hint() under the engine's lock; the rest by one client thread at a time.
#pragma once

#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "queue/hint_board.h"
#include "ring/spin_budget.h"
#include "ring/waiter.h"
#include "ring/wake_flag.h"

namespace tideline::client {

class Waiter {
 public:
  // Sockets beyond share bits with others.
  static constexpr unsigned kHints = queue::HintBoard::kHints;

  // For an engine in this process. The doorbell is an eventfd.
  static Result<std::unique_ptr<Waiter>> create();
  // For an engine behind a queue pair, which has the other end of the doorbell (queue/doorbell.h),
  // as this process has. The board is of the channel's memory, and outlives the waiter; `number`
  // is its place there.
  static std::unique_ptr<Waiter> create_shared(queue::HintBoard& board, std::uint16_t number,
                                               UniqueFd doorbell, UniqueFd ringer);

  // A descriptor that blocks, so that a thread that reads it is restarted after signals as POSIX
  // has it. In an epoll set: edge-triggered, and never read.
  int doorbell() const { return doorbell_.get(); }
  std::uint16_t number() const { return number_; }

  // Engine, of this process.
  void hint(unsigned number);

  // Client.
  bool has_hints() const { return board_->has_hints(); }
  // Calls `look(n)` for each hint, and forgets it: sockets with number n, n + kHints, ..
  template <typename Look>
  void take_hints(Look&& look) {
    board_->take(look);
  }
  // Looks until `ready()`, or for as long as the rule of every wait allows (ADR 2). Who then sleeps
  // arms, looks once more, and says slept() afterwards.
  template <typename Ready>
  bool spin(Ready&& ready);
  void slept() { budget_.slept(); }
  void arm() { board_->arm(); }
  void disarm();
  // Rings by itself: another thread of the client has changed what the sleeper waits for.
  void ring() const;

 private:
  Waiter(std::unique_ptr<queue::HintBoard> own, queue::HintBoard& board, UniqueFd doorbell)
      : own_(std::move(own)), board_(&board), doorbell_(std::move(doorbell)) {}

  std::unique_ptr<queue::HintBoard> own_;  // null: the board is shared
  queue::HintBoard* board_;
  ring::Notifier notifier_{board_->flag()};  // the engine's, of this process
  UniqueFd doorbell_;
  UniqueFd ringer_;  // of a shared one
  std::uint16_t number_ = 0;
  unsigned sleeps_ = 0;
  ring::SpinBudget budget_;  // the client's
  std::uint64_t gap_ticks_ = tsc_ticks(ring::kInterruptedGap);
};

template <typename Ready>
bool Waiter::spin(Ready&& ready) {
  const std::uint64_t begin = tsc_now();
  const std::uint64_t limit = budget_.limit(begin);
  std::uint64_t last = begin;
  while (last - begin < limit) {
    budget_.relax();
    const std::uint64_t now = tsc_now();
    const bool go_on = now - last <= gap_ticks_ || budget_.interrupted(now, now - last);
    if (ready()) {
      budget_.spun();
      return true;
    }
    if (!go_on) return false;
    last = tsc_now();
  }
  return false;
}

}  // namespace tideline::client
