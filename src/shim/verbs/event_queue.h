// SPDX-License-Identifier: Apache-2.0
// Events of an engine in this process that wait for ibv_get_cq_event or ibv_get_async_event. The
// descriptor is readable while there are any: an eventfd that counts them. Filled by the engine,
// emptied by the program. Thread: any.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <mutex>

#include "base/error.h"
#include "base/fd.h"

namespace tideline::shim::verbs {

template <typename Event>
class EventQueue {
 public:
  Status open() {
    fd_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE));
    if (!fd_) return fail_errno("cannot make a descriptor for events");
    return {};
  }
  int fd() const { return fd_.get(); }

  void push(const Event& event) {
    {
      const std::scoped_lock lock(mutex_);
      events_.push_back(event);
    }
    // Cannot fail: the counter would have to reach 2^64.
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(fd_.get(), &one, sizeof(one));
  }

  // Blocks as the descriptor does. False with errno set.
  bool pop(Event& event) {
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

  // Takes out the events of an object that goes.
  template <typename IsGone>
  void remove_if_gone(const IsGone& is_gone) {
    const std::scoped_lock lock(mutex_);
    const std::size_t before = events_.size();
    std::erase_if(events_, is_gone);
    // The descriptor is to be readable for those that are left only.
    pollfd fd{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    for (std::size_t gone = before - events_.size(); gone > 0 && ::poll(&fd, 1, 0) == 1; --gone) {
      std::uint64_t one = 0;
      if (::read(fd_.get(), &one, sizeof(one)) != sizeof(one)) return;
    }
  }

 private:
  UniqueFd fd_;
  std::mutex mutex_;
  std::deque<Event> events_;
};

}  // namespace tideline::shim::verbs
