// SPDX-License-Identifier: Apache-2.0
#include "shim/verbs/queue_completions.h"

#include <cerrno>

namespace tideline::shim::verbs {

using queue::VerbsOp;

bool QueueCompletions::open(const queue::VerbsResponse& made) {
  handle_ = made.handle;
  if (!ring_.open(engine_.piece(made.place), made.number)) return false;
  if (events_ != nullptr) events_->add(*this);
  return true;
}

std::uint32_t QueueCompletions::size() {
  if (engine_.is_forked()) return 0;
  const std::uint32_t waiting = ring_.size();
  return waiting == 0 && engine_.is_gone() ? 1 : waiting;  // poll() looks for those
}

std::size_t QueueCompletions::poll(std::span<rdma::Completion> out) {
  if (engine_.is_forked()) return 0;
  const CompletionRing::Polled polled = ring_.poll(out);
  if (polled.made_room) engine_.hint(handle_);
  if (polled.count > 0 || !engine_.is_gone()) return polled.count;
  return flush(out);
}

Status QueueCompletions::resize(std::uint32_t entries) {
  const auto resized =
      engine_.call({.op = VerbsOp::kResizeCq, .handle = handle_, .number = entries});
  if (!resized) return fail(resized.error());
  if (!ring_.open(engine_.piece(resized->place), resized->number)) return no_memory();
  return {};
}

void QueueCompletions::add(WorkRing* ring, std::uint32_t qp_num, rdma::WcOpcode opcode) {
  const std::scoped_lock lock(mutex_);
  sources_.push_back({.ring = ring, .qp_num = qp_num, .opcode = opcode});
}

void QueueCompletions::remove(std::uint32_t qp_num) {
  const std::scoped_lock lock(mutex_);
  std::erase_if(sources_, [&](const Source& each) { return each.qp_num == qp_num; });
}

// The front end has gone, and what it has not done is flushed: IBA 10.3.1.
std::size_t QueueCompletions::flush(std::span<rdma::Completion> out) {
  const std::scoped_lock lock(mutex_);
  std::size_t count = 0;
  for (const Source& source : sources_) {
    std::uint64_t wr_id = 0;
    while (count < out.size() && source.ring->flush_one(wr_id)) {
      out[count++] = {.wr_id = wr_id,
                      .qp_num = source.qp_num,
                      .status = rdma::WcStatus::kFlushed,
                      .opcode = source.opcode};
    }
  }
  return count;
}

// A byte of the bell is for one event of any of the queues. With the front end, each queue that
// waits for a completion has a last one; then there are none any more.
void* QueueEvents::pop() {
  while (bell_.wait()) {
    const std::scoped_lock lock(mutex_);
    void* user = nullptr;
    bool more = engine_.is_gone();
    for (QueueCompletions* each : queues_) {
      if (user == nullptr && (each->ring().take_event() || (more && each->ring().disarm()))) {
        user = each->user();
      }
      more |= each->ring().has_event();
    }
    if (more) bell_.keep_ringing();
    if (user != nullptr) return user;
    if (!engine_.is_gone()) continue;
    errno = EIO;
    return nullptr;
  }
  return nullptr;
}

void QueueEvents::forget(const void* user) {
  const std::scoped_lock lock(mutex_);
  std::size_t events = 0;
  std::erase_if(queues_, [&](QueueCompletions* each) {
    if (each->user() != user) return false;
    while (each->ring().take_event()) ++events;
    return true;
  });
  if (!engine_.is_gone()) bell_.take_back(events);
}

}  // namespace tideline::shim::verbs
