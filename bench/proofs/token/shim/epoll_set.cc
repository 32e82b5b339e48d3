// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/shim/epoll_set.h"

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "proofs/token/bells.h"
#include "proofs/token/shim/kernel.h"
#include "proofs/token/shim/stream.h"
#include "proofs/token/shim/wait.h"
#include "shim/sockets/libc.h"

namespace proofs::token {

using tideline::shim::sockets::libc;
namespace {

constinit Pool<EpollSet> pool;
constinit std::mutex live_mutex;
constinit EpollSet* live_sets = nullptr;

// While tokens are ready all the time, kernel descriptors get their turn this often.
constexpr std::uint64_t kKernelTurnTicks = 100'000;  // some tens of microseconds

}  // namespace

// What our own entries in the kernel's set carry as data: an address that no program has.
std::uint64_t EpollSet::tag(std::uint32_t low) const {
  return reinterpret_cast<std::uint64_t>(this) << 16 ^ 0x8000'0000'0000'0000U ^ low;
}

EpollSet* EpollSet::open(int epfd) {
  const OwnBell bell = process.take_bell();
  EpollSet* set = bell.number == 0 ? nullptr : pool.take();
  if (set == nullptr) return nullptr;
  set->bell_ = bell;
  set->sleepers_ = 0;
  set->foreign_ = false;
  set->must_look_again_ = false;
  set->start();
  if (process.settings().wake == WakeMode::kDoorbell) {
    // Edge-triggered, so that a ring need not be read away.
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = set->tag(0xffff)}};
    libc().epoll_ctl(epfd, EPOLL_CTL_ADD, bell.doorbell, &event);
  }
  const std::lock_guard guard(live_mutex);
  set->next_live_ = std::exchange(live_sets, set);
  fd_table.set(epfd, Kind::kEpoll, reinterpret_cast<std::uint64_t>(set));
  return set;
}

void EpollSet::release() {
  {
    const std::lock_guard guard(live_mutex);
    EpollSet** link = &live_sets;
    while (*link != this) link = &(*link)->next_live_;
    *link = next_live_;
  }
  for (Item& item : items_) {
    if (item.fd < 0) continue;
    if (!foreign_) remove_waiter(item.stream->endpoint(), item.slot);
    if (item.stream->leave()) item.stream->release();
  }
  items_.clear();
  free_items_.clear();
  index_of_.clear();
  candidates_.clear();
  if (!foreign_) process.give_bell(bell_);
  pool.give(this);
}

void EpollSet::suggest(std::size_t index) {
  Item& item = items_[index];
  if (item.fd < 0) return;
  item.hinted = true;
  if (item.candidate) return;
  item.candidate = true;
  candidates_.push_back(static_cast<std::uint32_t>(index));
}

int EpollSet::add(int epfd, int fd, const epoll_event& event) {
  auto* stream = Stream::at(fd_table.word(fd));
  if (!stream->enter()) return -EBADF;
  std::size_t index = items_.size();
  if (free_items_.empty()) {
    items_.emplace_back();
  } else {
    index = free_items_.back();
    free_items_.pop_back();
  }
  if (index_of_.size() <= static_cast<std::size_t>(fd)) {
    index_of_.resize(static_cast<std::size_t>(fd) + 64, -1);
  }
  index_of_[static_cast<std::size_t>(fd)] = static_cast<std::int32_t>(index);
  Item& item = items_[index];
  const bool candidate = item.candidate;  // still listed from its last life
  item = {.fd = fd, .stream = stream, .events = event.events, .data = event.data};
  item.candidate = candidate;
  if (!foreign_) {
    item.slot = add_waiter(stream->endpoint(), bell_.number, static_cast<std::uint32_t>(index));
    if (item.slot < 0) must_look_again_ = true;
  }
  if (process.settings().wake == WakeMode::kToken) {
    epoll_event in_kernel{.events = EPOLLIN | EPOLLET,
                          .data = {.u64 = tag(static_cast<std::uint32_t>(index) & 0x7fff)}};
    libc().epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &in_kernel);
  }
  suggest(index);
  return 0;
}

int EpollSet::remove(int epfd, std::size_t index) {
  Item& item = items_[index];
  if (!foreign_) remove_waiter(item.stream->endpoint(), item.slot);
  if (process.settings().wake == WakeMode::kToken && epfd >= 0) {
    libc().epoll_ctl(epfd, EPOLL_CTL_DEL, item.fd, nullptr);
  }
  index_of_[static_cast<std::size_t>(item.fd)] = -1;
  item.fd = -1;
  if (item.stream->leave()) item.stream->release();
  free_items_.push_back(static_cast<std::uint32_t>(index));
  return 0;
}

int EpollSet::control(int epfd, int operation, int fd, const epoll_event* event) {
  const std::lock_guard guard(mutex_);
  const bool known = static_cast<std::size_t>(fd) < index_of_.size() &&
                     index_of_[static_cast<std::size_t>(fd)] >= 0;
  if (operation == EPOLL_CTL_ADD) {
    if (event == nullptr) return -EFAULT;
    return known ? -EEXIST : add(epfd, fd, *event);
  }
  if (!known) return -ENOENT;
  const auto index = static_cast<std::size_t>(index_of_[static_cast<std::size_t>(fd)]);
  if (operation == EPOLL_CTL_DEL) return remove(epfd, index);
  if (operation != EPOLL_CTL_MOD) return -EINVAL;
  if (event == nullptr) return -EFAULT;
  items_[index].events = event->events;
  items_[index].data = event->data;
  items_[index].disabled = false;
  suggest(index);
  // A thread that sleeps does not know of the change.
  if (sleepers_ != 0 && bell().armed.exchange(0) != 0) process.ring(bell_.number);
  return 0;
}

// Turns hints into candidates.
void EpollSet::gather() {
  if (foreign_ || must_look_again_) {
    for (std::size_t i = 0; i < items_.size(); ++i) {
      if (!items_[i].candidate) suggest(i);
    }
  }
  if (foreign_) return;
  take_hints(bell(), [this](std::size_t hint) {
    for (std::size_t i = hint; i < items_.size(); i += kHints) suggest(i);
  });
}

// Reports what is ready. Level-triggered items stay candidates, behind the others, until they are
// found not ready; edge-triggered ones come back with the next hint.
std::size_t EpollSet::collect(std::span<epoll_event> events) {
  gather();
  std::size_t count = 0;
  std::size_t looked = 0;
  std::size_t kept = 0;
  const std::size_t listed = candidates_.size();
  for (; looked < listed && count < events.size(); ++looked) {
    const std::uint32_t index = candidates_[looked];
    Item& item = items_[index];
    short ready = 0;
    if (item.fd >= 0 && !item.disabled) {
      ready = item.stream->readiness(static_cast<short>(item.events & 0x7fff));
    }
    const bool edge = (item.events & EPOLLET) != 0;
    if (ready != 0 && (!edge || item.hinted)) {
      events[count++] = {.events = static_cast<std::uint32_t>(ready), .data = item.data};
      if ((item.events & EPOLLONESHOT) != 0) item.disabled = true;
    }
    item.hinted = false;
    if (ready == 0 || edge || item.disabled) {
      item.candidate = false;
    } else {
      candidates_[kept++] = index;  // kept <= looked: this place has been read
    }
  }
  // The ones not looked at come first next time.
  candidates_.erase(candidates_.begin() + static_cast<std::ptrdiff_t>(kept),
                    candidates_.begin() + static_cast<std::ptrdiff_t>(looked));
  std::rotate(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(kept),
              candidates_.end());
  return count;
}

// The kernel's part of a wait, without our own entries.
int EpollSet::poll_kernel(int epfd, std::span<epoll_event> events, int timeout_ms,
                          const sigset_t* mask) {
  if (events.empty()) return 0;
  kernel_polled_ = tideline::tsc_now();
  const int count =
      libc().epoll_pwait(epfd, events.data(), static_cast<int>(events.size()), timeout_ms, mask);
  if (count < 0) return -errno;
  int kept = 0;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t data = events[static_cast<std::size_t>(i)].data.u64;
    const std::uint64_t low = data ^ tag(0);
    if (low > 0xffff) {
      events[static_cast<std::size_t>(kept++)] = events[static_cast<std::size_t>(i)];
      continue;
    }
    const std::lock_guard guard(mutex_);
    if (low < items_.size() && items_[low].fd >= 0) {
      std::byte wakes[64];
      kernel::recv(items_[low].fd, wakes, sizeof(wakes), MSG_DONTWAIT);
    }
  }
  return kept;
}

bool EpollSet::prepare_sleep() {
  const std::lock_guard guard(mutex_);
  if (foreign_) return true;
  if (!candidates_.empty() || !arm(bell())) return false;
  ++sleepers_;
  return true;
}

// With several sleepers one ring wakes one of them: the next is woken if there is more to do.
void EpollSet::after_sleep() {
  if (foreign_) return;
  if (--sleepers_ == 0) {
    bell().armed.store(0, std::memory_order_relaxed);
  } else if (!arm(bell())) {
    process.ring(bell_.number);
  }
}

int EpollSet::wait(int epfd, std::span<epoll_event> events, int timeout_ms, const sigset_t* mask) {
  const Deadline deadline(timeout_ms);
  while (true) {
    std::size_t count = 0;
    {
      const std::lock_guard guard(mutex_);
      count = collect(events);
    }
    if (count != 0 || timeout_ms == 0) {
      const bool turn = tideline::tsc_now() - kernel_polled_ > kKernelTurnTicks;
      if (count != 0 && !turn) return static_cast<int>(count);
      const int more = poll_kernel(epfd, events.subspan(count), 0, mask);
      return static_cast<int>(count) + std::max(more, 0);
    }
    if (!foreign_ &&
        spin_budget.spin(process.settings().spin_us, [this] { return any_hint(bell()); }))
      continue;
    if (!prepare_sleep()) continue;
    int left = deadline.left_ms();
    if ((foreign_ || must_look_again_) && (left < 0 || left > 1)) left = 1;
    const int from_kernel = poll_kernel(epfd, events, left, mask);
    const std::lock_guard guard(mutex_);
    after_sleep();
    if (from_kernel < 0) return from_kernel;
    const auto filled = static_cast<std::size_t>(from_kernel);
    count = filled + collect(events.subspan(filled));
    if (count != 0) return static_cast<int>(count);
    if (timeout_ms > 0 && deadline.left_ms() == 0) return 0;
  }
}

void EpollSet::forget_everywhere(int fd) {
  const std::lock_guard guard(live_mutex);
  for (EpollSet* set = live_sets; set != nullptr; set = set->next_live_) {
    const std::lock_guard set_guard(set->mutex_);
    if (static_cast<std::size_t>(fd) >= set->index_of_.size()) continue;
    const std::int32_t index = set->index_of_[static_cast<std::size_t>(fd)];
    if (index >= 0) set->remove(-1, static_cast<std::size_t>(index));
  }
}

void EpollSet::before_fork() {
  live_mutex.lock();
  for (EpollSet* set = live_sets; set != nullptr; set = set->next_live_) set->mutex_.lock();
}

void EpollSet::after_fork(bool in_child) {
  for (EpollSet* set = live_sets; set != nullptr; set = set->next_live_) {
    set->mutex_.unlock();
    if (!in_child || set->foreign_) continue;
    set->foreign_ = true;
    set->sleepers_ = 0;
    for (Item& item : set->items_) item.slot = -1;
    fd_table.set(set->bell_.doorbell, Kind::kUnknown);
    kernel::close(set->bell_.doorbell);
  }
  live_mutex.unlock();
}

}  // namespace proofs::token
