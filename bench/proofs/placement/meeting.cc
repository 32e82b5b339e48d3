// SPDX-License-Identifier: Apache-2.0
#include "proofs/placement/meeting.h"

#include <sched.h>
#include <sys/socket.h>

#include <array>
#include <new>

#include "base/check.h"

namespace proofs::placement {

void Board::wait_for_step(std::uint32_t wanted) const {
  while (step.load(std::memory_order_acquire) < wanted) ::sched_yield();
}

Meeting::Meeting(const Prepare& prepare, const Body& body, const Become& become)
    : board_(tideline::Mapping::anonymous_shared(sizeof(Board)).value()) {
  new (board_.data()) Board{};
  std::array<int, 2> sockets{};
  CHECK(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets.data()) == 0);
  const tideline::UniqueFd ours(sockets[0]);
  tideline::UniqueFd theirs(sockets[1]);
  child_ = std::make_unique<bench::Child>(bench::Child::run([&] {
    if (become) become(true);
    auto target = Target::create();
    CHECK(target, "{}", target.error().message());
    prepare(**target, board());
    const tideline::Status accepted = (*target)->accept(theirs.get(), {});
    CHECK(accepted, "{}", accepted.error().message());
    return body(**target, board());
  }));
  theirs.reset();
  if (become) become(false);
  auto initiator = Initiator::connect(ours.get(), WaitMode::kYield);
  CHECK(initiator, "{}", initiator.error().message());
  initiator_ = std::move(*initiator);
}

bool Meeting::stop() {
  board().stop.store(true);
  return child_->succeeded();
}

int wait_for_stop(Target& /*target*/, Board& board) {
  while (!board.stop.load(std::memory_order_acquire)) ::sched_yield();
  return 0;
}

}  // namespace proofs::placement
