// SPDX-License-Identifier: Apache-2.0
#include "client/waiter.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

namespace tideline::client {

Result<std::unique_ptr<Waiter>> Waiter::create() {
  UniqueFd doorbell(::eventfd(0, EFD_CLOEXEC));
  if (!doorbell) {
    return fail_errno("cannot create an eventfd", "raise the limit of open files (ulimit -n)");
  }
  return std::unique_ptr<Waiter>(new Waiter(std::move(doorbell)));
}

// The bit before the summary: who takes the summary finds it.
void Waiter::hint(unsigned number) {
  const unsigned bit = number % kHints;
  words_[bit / 64].fetch_or(std::uint64_t{1} << bit % 64, std::memory_order_release);
  summary_.fetch_or(std::uint64_t{1} << bit / 64, std::memory_order_release);
  if (notifier_.should_ring()) ring();
}

void Waiter::ring() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(doorbell_.get(), &one, sizeof(one));
}

}  // namespace tideline::client
