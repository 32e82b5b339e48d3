// SPDX-License-Identifier: Apache-2.0
#include "shim/verbs/objects.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace tideline::shim::verbs {

template <typename Event>
Status EventQueue<Event>::open() {
  fd_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE));
  if (!fd_) return fail_errno("cannot make a descriptor for events");
  return {};
}

template <typename Event>
void EventQueue<Event>::push(const Event& event) {
  {
    const std::scoped_lock lock(mutex_);
    events_.push_back(event);
  }
  // Cannot fail: the counter would have to reach 2^64.
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof(one));
}

template <typename Event>
bool EventQueue<Event>::pop(Event& event) {
  for (;;) {
    std::uint64_t count = 0;
    if (::read(fd_.get(), &count, sizeof(count)) != sizeof(count)) return false;
    const std::scoped_lock lock(mutex_);
    // Removed in the meantime, with its object: its count is taken off here.
    if (events_.empty()) continue;
    event = events_.front();
    events_.pop_front();
    return true;
  }
}

template <typename Event>
void EventQueue<Event>::remove_if_gone(bool (*is_gone)(const Event&, const void*),
                                       const void* object) {
  const std::scoped_lock lock(mutex_);
  const std::size_t before = events_.size();
  std::erase_if(events_, [&](const Event& event) { return is_gone(event, object); });
  // The descriptor is to be readable for those that are left only.
  pollfd fd{.fd = fd_.get(), .events = POLLIN};
  for (std::size_t gone = before - events_.size(); gone > 0 && ::poll(&fd, 1, 0) == 1; --gone) {
    std::uint64_t one = 0;
    if (::read(fd_.get(), &one, sizeof(one)) != sizeof(one)) return;
  }
}

template class EventQueue<ibv_cq*>;
template class EventQueue<ibv_async_event>;

void Batch::clear() {
  entries.clear();
  sges.clear();
  inline_data.clear();
  error = 0;
}

Context& context_of(ibv_context* context) {
  return *reinterpret_cast<Context*>(verbs_get_ctx(context)->priv);
}

// Under the engine's lock.
void Context::completion(rdma::CompletionQueue& cq) {
  Cq& mine = *static_cast<Cq*>(cq.user());
  if (mine.base.channel != nullptr) of(mine.base.channel).events.push(mine.base_cq());
}

void Context::asynchronous(const rdma::AsyncEvent& event) {
  ibv_async_event told{};
  told.event_type = static_cast<ibv_event_type>(event.type);
  if (event.cq != nullptr) {
    told.element.cq = static_cast<Cq*>(event.cq->user())->base_cq();
  } else if (event.qp != nullptr) {
    told.element.qp = &static_cast<Qp*>(event.qp->init.user)->base.qp_base;
  } else if (event.srq != nullptr) {
    told.element.srq = &static_cast<Srq*>(event.srq->user)->base;
  } else {
    told.element.port_num = 1;
  }
  async_events.push(told);
}

}  // namespace tideline::shim::verbs
