// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/epoll_set.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <new>
#include <utility>

#include "base/clock.h"
#include "shim/sockets/file.h"
#include "shim/sockets/libc.h"
#include "shim/sockets/process.h"

namespace tideline::shim::sockets {
namespace {

constinit Pool<EpollSet> pool;
constinit std::mutex live_mutex;
constinit EpollSet* live_sets = nullptr;

// While our sockets are ready all the time, and while a wait looks, kernel descriptors get their
// turn this often.
constexpr Duration kKernelTurn = std::chrono::microseconds(20);

// What the doorbell's entry in the kernel's set carries: an address that no program has.
std::uint64_t tag_of(const EpollSet* set) {
  return reinterpret_cast<std::uintptr_t>(set) ^ 0x8000'0000'0000'0000U;
}

}  // namespace

EpollSet* EpollSet::open(int epfd) {
  if (!FdTable::holds(epfd)) return nullptr;
  const std::scoped_lock lock(live_mutex);
  if (fd_table.kind(epfd) == Kind::kEpoll) return static_cast<EpollSet*>(fd_table.object(epfd));
  EpollSet* set = pool.take();
  if (set == nullptr) return nullptr;
  set->epfd_ = epfd;
  set->armed_ = false;
  set->inherited_ = set->watches_anew_ = set->nested_ = false;
  set->sleepers_ = 0;
  set->kernel_turn_ = tsc_ticks(kKernelTurn);
  // What it watches already is unknown: assumed to be something.
  set->kernel_items_ = 1;
  set->start();
  set->next_live_ = std::exchange(live_sets, set);
  fd_table.set(epfd, Kind::kEpoll, set);
  return set;
}

void EpollSet::release() {
  {
    const std::scoped_lock lock(live_mutex);
    EpollSet** link = &live_sets;
    while (*link != this) link = &(*link)->next_live_;
    *link = next_live_;
  }
  for (Item& item : items_) {
    if (item.fd >= 0) remove(item, false);
  }
  items_.clear();
  free_items_.clear();
  index_of_.clear();
  candidates_.clear();
  if (waiter_ != nullptr) {
    // Another process may still have the kernel's set.
    libc().epoll_ctl(epfd_, EPOLL_CTL_DEL, waiter_->doorbell(), nullptr);
    if (armed_) disarm();
    process.give_waiter(std::move(waiter_));
  }
  pool.give(this);
}

bool EpollSet::ensure_waiter() {
  if (waiter_ != nullptr) return true;
  auto waiter = process.take_waiter();
  if (waiter == nullptr) return false;
  // Edge-triggered, so that a ring need not be read away.
  epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.u64 = tag_of(this)}};
  if (libc().epoll_ctl(epfd_, EPOLL_CTL_ADD, waiter->doorbell(), &event) != 0) {
    process.give_waiter(std::move(waiter));
    return false;
  }
  waiter_ = std::move(waiter);
  return true;
}

void EpollSet::arm() {
  if (waiter_ == nullptr || armed_) return;
  waiter_->arm();
  armed_ = true;
}

void EpollSet::disarm() {
  if (!std::exchange(armed_, false)) return;
  waiter_->disarm();
}

void EpollSet::ring() const {
  if (waiter_ != nullptr) waiter_->ring();
}

void EpollSet::nest(int epfd) {
  EpollSet* const set = open(epfd);
  if (set == nullptr) return;
  const std::scoped_lock lock(set->mutex_);
  set->nested_ = true;
  set->show_to_kernel();
}

// Of a nested one: what our sockets have makes the kernel's set readable through the doorbell, now
// or when it comes. Who is told and finds nothing was told too much, which poll(2) allows.
void EpollSet::show_to_kernel() {
  if (!nested_ || waiter_ == nullptr) return;
  disarm();  // takes old rings away now and then
  arm();
  take_hints();
  const bool ready = std::ranges::any_of(candidates_, [&](std::uint32_t index) {
    const Item& item = items_[index];
    if (item.fd < 0 || !item.watched || item.disabled) return false;
    return ((item.events & EPOLLET) == 0 || item.hinted) &&
           item.file->readiness(item.events & 0x3fff) != 0;
  });
  if (ready) ring();
}

EpollSet::Item* EpollSet::find(int fd) {
  const auto number = static_cast<std::size_t>(fd);
  if (number >= index_of_.size() || index_of_[number] < 0) return nullptr;
  return &items_[static_cast<std::size_t>(index_of_[number])];
}

void EpollSet::suggest(std::size_t index) {
  Item& item = items_[index];
  if (item.fd < 0) return;
  item.hinted = true;
  if (item.candidate) return;
  item.candidate = true;
  candidates_.push_back(static_cast<std::uint32_t>(index));
}

void EpollSet::watch(Item& item) {
  if (item.watched || !item.file->has_ours() || !ensure_waiter()) return;
  const auto index = static_cast<std::size_t>(&item - items_.data());
  item.file->socket().watch(*waiter_, static_cast<unsigned>(index));
  item.watched = true;
  suggest(index);
}

int EpollSet::add(int epfd, int fd, File& file, const epoll_event& event) {
  const bool in_kernel = file.where() != Side::kOurs;
  epoll_event copy = event;
  if (in_kernel && libc().epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &copy) != 0) return -errno;
  if (!file.enter()) return -EBADF;
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
  item = {.fd = fd, .file = &file, .events = event.events, .data = event.data};
  item.in_kernel = in_kernel;
  item.candidate = candidate;
  if (in_kernel) ++kernel_items_;
  watch(item);
  return 0;
}

int EpollSet::change(int epfd, Item& item, const epoll_event& event) {
  if ((item.events & EPOLLEXCLUSIVE) != 0) return -EINVAL;
  epoll_event copy = event;
  if (item.in_kernel) libc().epoll_ctl(epfd, EPOLL_CTL_MOD, item.fd, &copy);
  item.events = event.events;
  item.data = event.data;
  item.disabled = false;
  suggest(static_cast<std::size_t>(&item - items_.data()));
  return 0;
}

void EpollSet::remove(Item& item, bool from_kernel) {
  if (item.watched) {
    const auto index = static_cast<unsigned>(&item - items_.data());
    item.file->socket().unwatch(*waiter_, index);
  }
  if (item.in_kernel) {
    if (from_kernel && !inherited_) {
      libc().epoll_ctl(epfd_, EPOLL_CTL_DEL, item.fd, nullptr);
    }
    --kernel_items_;
  }
  index_of_[static_cast<std::size_t>(item.fd)] = -1;
  item.fd = -1;
  item.watched = false;
  free_items_.push_back(static_cast<std::uint32_t>(&item - items_.data()));
  if (item.file->leave()) item.file->release();
}

namespace {

// As Linux has it: EPOLLEXCLUSIVE comes with little else, and an item has it for good.
bool may_be_exclusive(unsigned events) {
  return (events & ~(EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET |
                     EPOLLEXCLUSIVE)) == 0;
}

}  // namespace

int EpollSet::control(int epfd, int operation, int fd, const epoll_event* event) {
  const Ref<File, Kind::kSocket> file(fd);
  if (!file) return -EBADF;
  if (event == nullptr && operation != EPOLL_CTL_DEL) return -EFAULT;
  const bool exclusive = event != nullptr && (event->events & EPOLLEXCLUSIVE) != 0;
  if (exclusive && (operation == EPOLL_CTL_MOD || !may_be_exclusive(event->events))) return -EINVAL;
  const std::scoped_lock lock(mutex_);
  Item* item = find(fd);
  int result = 0;
  switch (operation) {
    case EPOLL_CTL_ADD:
      result = item != nullptr ? -EEXIST : add(epfd, fd, *file, *event);
      break;
    case EPOLL_CTL_MOD:
      result = item == nullptr ? -ENOENT : change(epfd, *item, *event);
      break;
    case EPOLL_CTL_DEL:
      if (item == nullptr) return -ENOENT;
      remove(*item, true);
      return 0;
    default:
      return -EINVAL;
  }
  // A thread that sleeps does not know of the change.
  if (sleepers_ > 0) ring();
  show_to_kernel();
  return result;
}

void EpollSet::note_kernel_item(int operation) {
  const std::scoped_lock lock(mutex_);
  if (operation == EPOLL_CTL_ADD) ++kernel_items_;
}

void EpollSet::take_hints() {
  if (waiter_ == nullptr) return;
  waiter_->take_hints([this](unsigned hint) {
    for (std::size_t i = hint; i < items_.size(); i += client::Waiter::kHints) suggest(i);
  });
}

// Reports what is ready. Level-triggered items stay candidates, behind the others, until they are
// found not ready; edge-triggered ones come back with the next hint.
std::size_t EpollSet::collect(std::span<epoll_event> events) {
  take_hints();
  std::size_t count = 0;
  std::size_t looked = 0;
  std::size_t kept = 0;
  const std::size_t listed = candidates_.size();
  for (; looked < listed && count < events.size(); ++looked) {
    const std::uint32_t index = candidates_[looked];
    Item& item = items_[index];
    unsigned ready = 0;
    if (item.fd >= 0 && item.watched && !item.disabled) {
      ready = item.file->readiness(item.events & 0x3fff);
    }
    const bool edge = (item.events & EPOLLET) != 0;
    if (ready != 0 && (!edge || item.hinted)) {
      events[count++] = {.events = ready, .data = item.data};
      if ((item.events & EPOLLONESHOT) != 0) item.disabled = true;
    }
    item.hinted = false;
    if (ready == 0 || edge || item.disabled) {
      item.candidate = false;
    } else {
      candidates_[kept++] = index;  // kept <= looked: this place has been read
    }
  }
  // What did not fit is for another thread that sleeps.
  if (looked < listed && sleepers_ > 0) ring();
  const auto begin = candidates_.begin();
  candidates_.erase(begin + static_cast<std::ptrdiff_t>(kept),
                    begin + static_cast<std::ptrdiff_t>(looked));
  // Those not looked at come first next time.
  std::rotate(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(kept),
              candidates_.end());
  return count;
}

// The kernel's part of a wait, without the doorbell.
int EpollSet::look_at_kernel(int epfd, std::span<epoll_event> events, const timespec& limit,
                             const sigset_t* mask) {
  if (events.empty()) return 0;
  kernel_looked_.store(tsc_now(), std::memory_order_relaxed);
  const int count =
      libc().epoll_pwait2(epfd, events.data(), static_cast<int>(events.size()), &limit, mask);
  if (count < 0) return -errno;
  const auto found = events.first(static_cast<std::size_t>(count));
  const auto rest = std::remove_if(found.begin(), found.end(), [&](const epoll_event& event) {
    return event.data.u64 == tag_of(this);
  });
  return static_cast<int>(rest - found.begin());
}

// Whether there is something, or time is up.
bool EpollSet::spin(int epfd, client::Sockets& sockets, const Deadline& deadline) {
  if (waiter_ == nullptr || spinning_.exchange(true, std::memory_order_acquire)) return false;
  const bool found = waiter_->spin([&] {
    sockets.poll();
    if (waiter_->has_hints() || deadline.has_passed()) return true;
    if (kernel_items_ == 0 ||
        tsc_now() - kernel_looked_.load(std::memory_order_relaxed) < kernel_turn_) {
      return false;
    }
    kernel_looked_.store(tsc_now(), std::memory_order_relaxed);
    pollfd kernel{.fd = epfd, .events = POLLIN, .revents = 0};
    return libc().poll(&kernel, 1, 0) != 0;
  });
  spinning_.store(false, std::memory_order_release);
  return found;
}

bool EpollSet::prepare_sleep() {
  const std::scoped_lock lock(mutex_);
  if (!candidates_.empty()) return false;
  if (nested_) armed_ = false;  // it may have been rung for
  arm();
  if (waiter_ != nullptr && waiter_->has_hints()) {
    if (sleepers_ == 0) disarm();
    return false;
  }
  ++sleepers_;
  return true;
}

// With several sleepers one ring wakes one of them: the others are armed for anew.
void EpollSet::after_sleep() {
  disarm();
  if (--sleepers_ > 0) arm();
}

int EpollSet::wait(int epfd, std::span<epoll_event> events, Deadline deadline,
                   const sigset_t* mask) {
  const int result = wait_once(epfd, events, deadline, mask);
  if (nested_) {
    const std::scoped_lock lock(mutex_);
    show_to_kernel();
  }
  return result;
}

// What there is now, or a negative errno.
int EpollSet::look(int epfd, std::span<epoll_event> events, const sigset_t* mask) {
  constexpr timespec kNow{};
  std::size_t count = 0;
  {
    const std::scoped_lock lock(mutex_);
    if (std::exchange(watches_anew_, false)) {
      for (Item& item : items_) {
        if (item.fd >= 0) watch(item);
      }
    }
    count = collect(events);
  }
  const std::uint64_t since = tsc_now() - kernel_looked_.load(std::memory_order_relaxed);
  const bool may_skip = kernel_items_ == 0 || (count > 0 && since < kernel_turn_);
  if (!may_skip || mask != nullptr || nested_) {  // which takes the doorbell's event away
    const int more = look_at_kernel(epfd, events.subspan(count), kNow, mask);
    if (more < 0 && count == 0) return more;
    count += static_cast<std::size_t>(std::max(more, 0));
  }
  return static_cast<int>(count);
}

int EpollSet::wait_once(int epfd, std::span<epoll_event> events, Deadline deadline,
                        const sigset_t* mask) {
  const SignalMark begun;
  for (;;) {
    client::Sockets* const sockets = process.running();
    if (sockets != nullptr) sockets->poll();
    const int count = look(epfd, events, mask);
    if (count != 0 || deadline.has_passed()) return count;
    if (begun.has_passed()) return -EINTR;
    if (sockets != nullptr && spin(epfd, *sockets, deadline)) continue;
    if (!prepare_sleep()) continue;
    const int from_kernel = sleep(epfd, sockets, events, deadline, mask, begun);
    if (from_kernel < 0) return from_kernel;
    if (from_kernel > 0) {
      const std::scoped_lock lock(mutex_);
      const auto filled = static_cast<std::size_t>(from_kernel);
      return static_cast<int>(filled + collect(events.subspan(filled)));
    }
  }
}

// What a sleep in the kernel reads when it begins. Other threads may sleep on the same doorbell, so
// a handler rings none: it leaves no time, and a number that is no descriptor, for the C library
// has its own copy of ppoll()'s time.
struct EpollSet::Nap {
  Nap(int epfd, int wire, const Deadline& end)
      : fds{pollfd{.fd = epfd, .events = POLLIN, .revents = 0},
            pollfd{.fd = wire, .events = POLLIN, .revents = 0}} {
    if (!end.is_never()) limit = end.left();
  }
  static void end_now(void* nap) {
    static_cast<Nap*>(nap)->limit = {};
    static_cast<Nap*>(nap)->fds[1].fd = std::numeric_limits<int>::max();
  }

  timespec limit{.tv_sec = std::numeric_limits<time_t>::max(), .tv_nsec = 0};  // for ever
  std::array<pollfd, 2> fds;
  WakeOnSignal wake{&end_now, this};
};

// After prepare_sleep(). How many events of the kernel's have come, or a negative errno.
int EpollSet::sleep(int epfd, client::Sockets* sockets, std::span<epoll_event> events,
                    const Deadline& deadline, const sigset_t* mask, const SignalMark& begun) {
  constexpr Duration kInheritedLook = std::chrono::milliseconds(1);
  client::Sockets::Sleep plan;
  if (sockets != nullptr) plan = sockets->begin_sleep(true);
  Deadline end = deadline.earlier(plan.deadline);
  if (inherited_ && waiter_ != nullptr) end = end.earlier(monotonic_now() + kInheritedLook);
  int found = 0;
  {
    Nap nap(epfd, plan.descriptor, end);
    if ((waiter_ == nullptr || !waiter_->has_hints()) && !begun.has_passed()) {
      found = plan.descriptor < 0 ? look_at_kernel(epfd, events, nap.limit, mask)
                                  : sleep_on_wire(nap, mask);
    }
  }
  {
    const std::scoped_lock lock(mutex_);
    after_sleep();
  }
  if (waiter_ != nullptr) waiter_->slept();
  if (sockets != nullptr) sockets->end_sleep(plan);
  return found;
}

// The kernel's set and the wire: 0, or a negative errno.
int EpollSet::sleep_on_wire(Nap& nap, const sigset_t* mask) {
  return libc().ppoll(nap.fds.data(), nap.fds.size(), &nap.limit, mask) < 0 ? -errno : 0;
}

template <typename Body>
void EpollSet::in_all(int fd, const Body& body) {
  const std::scoped_lock lock(live_mutex);
  for (EpollSet* set = live_sets; set != nullptr; set = set->next_live_) {
    const std::scoped_lock set_lock(set->mutex_);
    Item* const item = set->find(fd);
    if (item == nullptr) continue;
    body(*set, *item);
    set->show_to_kernel();
  }
}

void EpollSet::forget_everywhere(int fd) {
  in_all(fd, [](EpollSet& set, Item& item) { set.remove(item, true); });
}

void EpollSet::add_to_kernel(Item& item) {
  epoll_event event{.events = item.events, .data = item.data};
  if (item.in_kernel || libc().epoll_ctl(epfd_, EPOLL_CTL_ADD, item.fd, &event) != 0) return;
  item.in_kernel = true;
  ++kernel_items_;
}

void EpollSet::decided(int fd, File& file) {
  in_all(fd, [&](EpollSet& set, Item& item) {
    if (file.where() == Side::kBoth) {
      set.add_to_kernel(item);
    } else if (file.where() == Side::kOurs && std::exchange(item.in_kernel, false)) {
      libc().epoll_ctl(set.epfd_, EPOLL_CTL_DEL, fd, nullptr);
      --set.kernel_items_;
    }
    set.watch(item);
    if (set.sleepers_ > 0) set.ring();
  });
}

void EpollSet::look_again(int fd) {
  in_all(fd, [](EpollSet& set, Item& item) {
    set.suggest(static_cast<std::size_t>(&item - set.items_.data()));
    if (set.sleepers_ > 0) set.ring();
  });
}

void EpollSet::pass_on(int fd) {
  in_all(fd, [](EpollSet& set, Item& item) {
    set.add_to_kernel(item);
    item.in_kernel = false;  // stays there, and is no longer ours to remove
    item.watched = false;    // its socket of ours is closed
    set.remove(item, false);
  });
}

void EpollSet::after_fork_in_child() {
  new (&live_mutex) std::mutex;
  pool.unlock_after_fork();
  for (EpollSet* set = live_sets; set != nullptr; set = set->next_live_) {
    new (&set->mutex_) std::mutex;
    set->inherited_ = set->watches_anew_ = true;
    set->armed_ = false;
    set->sleepers_ = 0;
    // The waiter is the parent's. What was watched with it is watched anew with the child's own.
    [[maybe_unused]] client::Waiter* const parents = set->waiter_.release();
    for (Item& item : set->items_) item.watched = false;
  }
}

}  // namespace tideline::shim::sockets
