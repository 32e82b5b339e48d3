// SPDX-License-Identifier: Apache-2.0
#include "proofs/token/shim/wait.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "proofs/token/bells.h"
#include "proofs/token/shim/classify.h"
#include "proofs/token/shim/fd_table.h"
#include "proofs/token/shim/kernel.h"
#include "proofs/token/shim/process.h"
#include "proofs/token/shim/stream.h"
#include "shim/sockets/libc.h"

namespace proofs::token {

using tideline::shim::sockets::libc;

constinit SpinBudget spin_budget;

namespace {

// One poll call: the program's array and the kernel's, which stands beside it with the doorbell
// behind.
class PollCall {
 public:
  explicit PollCall(std::span<pollfd> fds) : fds_(fds), kernel_(fds.begin(), fds.end()) {
    by_token_ = process.settings().wake == WakeMode::kToken;
    for (std::size_t i = 0; i < fds_.size(); ++i) {
      if (fds_[i].fd < 0) continue;
      if (kind_of(fds_[i].fd) != Kind::kStream) {
        has_kernel_ = true;
        continue;
      }
      tokens_.push_back({.index = i, .slot = -1});
      if (by_token_) {
        kernel_[i].events = POLLIN;
      } else {
        kernel_[i].fd = -1;
      }
    }
    kernel_.push_back({.fd = -1, .events = POLLIN, .revents = 0});
  }

  ~PollCall() {
    if (bell_.number == 0) return;
    for (const Token& token : tokens_) {
      const Ref<Stream> stream(fds_[token.index].fd, Kind::kStream);
      if (stream && token.slot >= 0) remove_waiter(stream->endpoint(), token.slot);
    }
    process.give_bell(bell_);
  }
  PollCall(const PollCall&) = delete;
  PollCall& operator=(const PollCall&) = delete;

  bool has_kernel() const { return has_kernel_; }

  // The tokens' events, into the program's array; how many have some.
  int look() {
    int ready = 0;
    for (const Token& token : tokens_) {
      pollfd& entry = fds_[token.index];
      const Ref<Stream> stream(entry.fd, Kind::kStream);
      entry.revents = stream ? stream->readiness(entry.events) : static_cast<short>(POLLNVAL);
      if (entry.revents != 0) ++ready;
    }
    return ready;
  }

  void enlist() {
    bell_ = process.take_bell();
    if (bell_.number == 0) {
      must_look_again_ = true;
      return;
    }
    if (!by_token_) kernel_.back().fd = bell_.doorbell;
    for (Token& token : tokens_) {
      const Ref<Stream> stream(fds_[token.index].fd, Kind::kStream);
      if (stream) token.slot = add_waiter(stream->endpoint(), bell_.number, 0);
      if (token.slot < 0) must_look_again_ = true;
    }
  }

  // False: something came in between. Look instead.
  bool ready_to_sleep() {
    if (bell_.number == 0) return true;
    Bell& bell = process.board().bells[bell_.number];
    if (arm(bell)) return true;
    take_hints(bell, [](std::size_t) {});
    return false;
  }

  // Sleeps in the kernel; the kernel's descriptors' events go into the program's array. Their
  // number, or a negative errno.
  int sleep(int timeout_ms, const sigset_t* mask) {
    if (must_look_again_ && (timeout_ms < 0 || timeout_ms > 1)) timeout_ms = 1;
    const timespec limit{.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    const int count =
        libc().ppoll(kernel_.data(), kernel_.size(), timeout_ms < 0 ? nullptr : &limit, mask);
    if (bell_.number != 0) disarm();
    if (count < 0) return -errno;
    int ready = 0;
    for (std::size_t i = 0; i < fds_.size(); ++i) {
      if (fds_[i].fd >= 0 && kind_of(fds_[i].fd) == Kind::kStream) continue;
      fds_[i].revents = kernel_[i].revents;
      if (fds_[i].revents != 0) ++ready;
    }
    return ready;
  }

 private:
  struct Token {
    std::size_t index;
    int slot;
  };

  void disarm() {
    Bell& bell = process.board().bells[bell_.number];
    bell.armed.store(0, std::memory_order_relaxed);
    take_hints(bell, [](std::size_t) {});
    std::uint64_t rung = 0;
    if (!by_token_) {
      if (kernel_.back().revents != 0) kernel::read(bell_.doorbell, &rung, sizeof(rung));
      return;
    }
    std::byte wakes[64];
    for (const Token& token : tokens_) {
      const int fd = fds_[token.index].fd;
      if (kernel_[token.index].revents != 0) kernel::recv(fd, wakes, sizeof(wakes), MSG_DONTWAIT);
    }
  }

  std::span<pollfd> fds_;
  std::vector<pollfd> kernel_;
  std::vector<Token> tokens_;
  OwnBell bell_;
  bool by_token_ = false;
  bool has_kernel_ = false;
  bool must_look_again_ = false;  // no slot was free: time does what a bell would
};

}  // namespace

Deadline::Deadline(int timeout_ms) : timeout_ms_(timeout_ms) {
  if (timeout_ms > 0) end_ = tideline::monotonic_now() + std::chrono::milliseconds(timeout_ms);
}

int Deadline::left_ms() const {
  if (timeout_ms_ <= 0) return timeout_ms_;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - tideline::monotonic_now());
  return static_cast<int>(std::max<std::int64_t>(0, left.count()));
}

int to_ms(const timespec* timeout) {
  if (timeout == nullptr) return -1;
  const std::int64_t ms = timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000;
  return static_cast<int>(std::min<std::int64_t>(ms, INT32_MAX));
}

int poll_mixed(std::span<pollfd> fds, int timeout_ms, const sigset_t* mask) {
  PollCall call(fds);
  int ready = call.look();
  if (ready > 0 || timeout_ms == 0) {
    if (!call.has_kernel()) return ready;
    const int more = call.sleep(0, mask);
    return more < 0 ? more : ready + more;
  }
  const Deadline deadline(timeout_ms);
  if (!call.has_kernel() &&
      spin_budget.spin(process.settings().spin_us, [&] { return (ready = call.look()) > 0; })) {
    return ready;
  }
  call.enlist();
  while (true) {
    ready = call.look();
    if (ready > 0 && !call.has_kernel()) return ready;
    if (!call.ready_to_sleep()) continue;
    // What came before the arming has no hint if its hint was taken: so look once more, armed.
    if (ready == 0) ready = call.look();
    const int left = ready > 0 ? 0 : deadline.left_ms();
    const int more = call.sleep(left, mask);
    if (more < 0) return more;
    ready = call.look();
    if (ready + more > 0) return ready + more;
    if (timeout_ms > 0 && deadline.left_ms() == 0) return 0;
  }
}

int wait_for(int fd, short events, int timeout_ms) {
  pollfd one{.fd = fd, .events = events, .revents = 0};
  return poll_mixed({&one, 1}, timeout_ms, nullptr);
}

}  // namespace proofs::token
