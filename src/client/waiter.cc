// SPDX-License-Identifier: Apache-2.0
#include "client/waiter.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

#include "queue/doorbell.h"

namespace tideline::client {

using queue::Doorbell;
using queue::HintBoard;

Result<std::unique_ptr<Waiter>> Waiter::create() {
  UniqueFd doorbell(::eventfd(0, EFD_CLOEXEC));
  if (!doorbell) {
    return fail_errno("cannot create an eventfd", "raise the limit of open files (ulimit -n)");
  }
  auto own = std::make_unique<HintBoard>();
  HintBoard& board = *own;
  return std::unique_ptr<Waiter>(new Waiter(std::move(own), board, std::move(doorbell)));
}

std::unique_ptr<Waiter> Waiter::create_shared(HintBoard& board, std::uint16_t number,
                                              UniqueFd doorbell, UniqueFd ringer) {
  std::unique_ptr<Waiter> waiter(new Waiter(nullptr, board, std::move(doorbell)));
  waiter->number_ = number;
  waiter->ringer_ = std::move(ringer);
  return waiter;
}

void Waiter::hint(unsigned number) {
  board_->hint(number);
  if (notifier_.should_ring()) ring();
}

void Waiter::disarm() {
  board_->disarm();
  if (ringer_ && ++sleeps_ % Doorbell::kMostUnread == 0) Doorbell::drain(doorbell_.get());
}

void Waiter::ring() const {
  if (ringer_) {
    Doorbell::ring(ringer_.get());
    return;
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(doorbell_.get(), &one, sizeof(one));
}

}  // namespace tideline::client
