// SPDX-License-Identifier: Apache-2.0
#include "shim/sockets/wait.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "shim/sockets/calls.h"
#include "shim/sockets/libc.h"
#include "shim/sockets/process.h"

namespace tideline::shim::sockets {
namespace {

// Looks between two looks at the kernel's descriptors, which cost a system call each.
constexpr unsigned kLooksPerKernelLook = 32;

// One call: the program's array, and the kernel's beside it with the doorbell behind.
class PollCall {
 public:
  // More descriptors take memory from malloc.
  static constexpr std::size_t kUsual = 64;
  static constexpr std::size_t kOwn = 2;  // the doorbell, the wire

  // `known`: what the one descriptor was when the call began, and what the caller keeps: another
  // thread may close the number meanwhile, and use it for something else.
  PollCall(std::span<pollfd> fds, Deadline deadline, const sigset_t* mask, bool restarts,
           const SignalMark& begun, File* known = nullptr)
      : fds_(fds),
        deadline_(deadline),
        mask_(mask),
        restarts_(restarts && deadline.is_never()),
        begun_(begun),
        known_(known) {
    if (fds.size() > kUsual) {
      more_kernel_.resize(fds.size() + kOwn);
      more_files_.resize(fds.size());
    }
    kernel_ = fds.size() > kUsual ? std::span(more_kernel_) : std::span(some_kernel_);
    files_ = fds.size() > kUsual ? std::span(more_files_) : std::span(some_files_);
    for (std::size_t i = 0; i < fds_.size(); ++i) enter(i);
  }
  ~PollCall() {
    for (std::size_t i = 0; i < fds_.size(); ++i) {
      if (files_[i] != nullptr && files_[i]->leave()) files_[i]->release();
    }
  }
  PollCall(const PollCall&) = delete;
  PollCall& operator=(const PollCall&) = delete;

  int run() {
    if (process.is_forked()) return refuse();
    client::Sockets& sockets = *process.running();
    sockets.poll();
    int ready = look(true);
    if (ready != 0 || deadline_.has_passed()) return ready;
    const BorrowedWaiter waiter;
    if (!waiter) return -ENOMEM;
    for (;;) {
      if (begun_.is_interrupted(restarts_)) return -EINTR;
      unsigned looks = 0;
      waiter->spin([&] {
        sockets.poll();
        ready = look(++looks % kLooksPerKernelLook == 0);
        return ready != 0 || deadline_.has_passed();
      });
      if (ready != 0 || deadline_.has_passed()) return ready;
      if (const int error = sleep(sockets, *waiter); error < 0 && !goes_on(error)) return error;
      waiter->slept();
      sockets.poll();
      ready = look(true);
      if (ready != 0 || deadline_.has_passed()) return ready;
    }
  }

 private:
  void enter(std::size_t i) {
    kernel_[i] = fds_[i];
    files_[i] = nullptr;
    if (fds_[i].fd < 0) return;
    if (known_ != nullptr && known_->enter()) {
      files_[i] = known_;
      ++ours_;
      const int fd = fds_[i].fd;
      const bool stands = fd_table.kind(fd) == Kind::kSocket && fd_table.object(fd) == known_;
      if (stands && known_->where() == Side::kBoth) {
        ++kernels_;
      } else {
        kernel_[i].fd = -1;
      }
      return;
    }
    const FileRef file(fds_[i].fd);
    if (!file || !file->has_ours() || !file->enter()) {
      ++kernels_;
      return;
    }
    files_[i] = &*file;
    ++ours_;
    if (file->where() == Side::kBoth) {
      ++kernels_;
    } else {
      kernel_[i].fd = -1;
    }
  }

  // In a forked child: what it has inherited of ours is of no use.
  int refuse() {
    process.tell_forked();
    const int found = look(true);
    if (found < 0) return found;
    for (std::size_t i = 0; i < fds_.size(); ++i) {
      if (files_[i] != nullptr) fds_[i].revents = POLLERR | POLLHUP;
    }
    return merge();
  }

  // How many have events, or a negative errno.
  int look(bool at_kernel) {
    int ours = 0;
    for (std::size_t i = 0; i < fds_.size(); ++i) {
      fds_[i].revents = 0;
      if (files_[i] == nullptr) continue;
      fds_[i].revents =
          static_cast<short>(readiness_of(*files_[i], static_cast<unsigned short>(fds_[i].events)));
      if (fds_[i].revents != 0) ++ours;
    }
    if (!at_kernel || kernels_ == 0) return ours;
    constexpr timespec kNow{};
    const int found = libc().ppoll(kernel_.data(), fds_.size(), &kNow, mask_);
    return found < 0 ? -errno : merge();
  }

  // A call that blocks does not wait for notifications.
  unsigned readiness_of(const File& file, unsigned wanted) const {
    return known_ != nullptr ? file.socket().readiness(wanted) : file.readiness(wanted);
  }

  // Adds the kernel's events; how many have some.
  int merge() {
    int ready = 0;
    for (std::size_t i = 0; i < fds_.size(); ++i) {
      if (kernel_[i].fd >= 0) {
        fds_[i].revents = static_cast<short>(fds_[i].revents | kernel_[i].revents);
      }
      if (fds_[i].revents != 0) ++ready;
    }
    return ready;
  }

  int sleep(client::Sockets& sockets, client::Waiter& waiter) {
    for (std::size_t i = 0; i < fds_.size(); ++i) {
      if (files_[i] != nullptr) files_[i]->socket().watch(waiter, 0);
    }
    waiter.arm();
    waiter.take_hints([](unsigned /*hint*/) {});
    // The usual blocking call sleeps on one descriptor.
    const bool alone = kernels_ == 0 && restarts_ && mask_ == nullptr;
    const client::Sockets::Sleep sleep = sockets.begin_sleep(!alone);
    int result = look(false);
    const bool one = alone && sleep.deadline == kNever;
    if (result == 0) {
      const SignalMark asleep;
      const WakeOnSignal wake(
          [](void* context) { static_cast<const client::Waiter*>(context)->ring(); }, &waiter);
      if (!begun_.is_interrupted(restarts_)) {
        result = one ? sleep_on_doorbell(waiter) : sleep_on_all(waiter, sleep);
      }
      if (asleep.has_passed()) silence(waiter);
    }
    waiter.disarm();
    sockets.end_sleep(sleep);
    for (std::size_t i = 0; i < fds_.size(); ++i) {
      if (files_[i] != nullptr) files_[i]->socket().unwatch(waiter, 0);
    }
    return std::min(result, 0);
  }

  // Of a blocking call, which begun_ tells whether a handler has interrupted it. Whatever else ends
  // a sleep on several descriptors (the C library's own signals) does not.
  bool goes_on(int error) const {
    return error == -EINTR && restarts_ && (begun_.has_passed() || kernels_ > 0);
  }

  // The kernel restarts it after signals, or not, as the program wants it.
  static int sleep_on_doorbell(const client::Waiter& waiter) {
    std::uint64_t rings = 0;
    return libc().read(waiter.doorbell(), &rings, sizeof(rings)) < 0 ? -errno : 0;
  }

  // What handlers have rung is of no use to the next sleep.
  static void silence(const client::Waiter& waiter) {
    pollfd doorbell{.fd = waiter.doorbell(), .events = POLLIN, .revents = 0};
    std::uint64_t rings = 0;
    while (libc().poll(&doorbell, 1, 0) == 1) libc().read(doorbell.fd, &rings, sizeof(rings));
  }

  int sleep_on_all(client::Waiter& waiter, const client::Sockets::Sleep& sleep) {
    const std::size_t own = fds_.size();
    kernel_[own] = {.fd = waiter.doorbell(), .events = POLLIN, .revents = 0};
    kernel_[own + 1] = {.fd = sleep.descriptor, .events = POLLIN, .revents = 0};
    const Deadline deadline = deadline_.earlier(sleep.deadline);
    const timespec left = deadline.is_never() ? timespec{} : deadline.left();
    const int found =
        libc().ppoll(kernel_.data(), own + kOwn, deadline.is_never() ? nullptr : &left, mask_);
    if (found < 0) return -errno;
    std::uint64_t rings = 0;
    if (kernel_[own].revents != 0) libc().read(waiter.doorbell(), &rings, sizeof(rings));
    return 0;
  }

  std::span<pollfd> fds_;
  Deadline deadline_;
  const sigset_t* mask_;
  bool restarts_;  // as blocking calls do, and poll does not
  const SignalMark& begun_;
  File* known_;
  std::array<pollfd, kUsual + kOwn> some_kernel_;
  std::array<File*, kUsual> some_files_;
  std::vector<pollfd> more_kernel_;
  std::vector<File*> more_files_;
  std::span<pollfd> kernel_;
  std::span<File*> files_;  // null: the kernel's
  std::size_t ours_ = 0;
  std::size_t kernels_ = 0;
};

}  // namespace

int wait_for(int fd, File& file, short events, Deadline deadline, const SignalMark& begun) {
  if (!file.has_ours()) return -EBADF;
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  return PollCall({&entry, 1}, deadline, nullptr, true, begun, &file).run();
}

int poll_mixed(std::span<pollfd> fds, Deadline deadline, const sigset_t* mask) {
  const SignalMark begun;
  return PollCall(fds, deadline, mask, false, begun).run();
}

}  // namespace tideline::shim::sockets
