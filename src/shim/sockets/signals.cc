// SPDX-License-Identifier: Apache-2.0
// The intercepted calls that install handlers, and the handler that they install. Called by the
// program, on any thread, also in handlers.
#include "shim/sockets/signals.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>
#include <new>

#include "shim/sockets/libc.h"

namespace tideline::shim::sockets {
namespace {

using Handler = void(int, siginfo_t*, void*);

struct Entry {
  std::atomic<Handler*> handler{nullptr};
  std::atomic<int> flags{0};
};

constinit std::array<Entry, NSIG> entries{};
constinit std::mutex entries_mutex;
constinit sigset_t interrupting{};  // by siginterrupt(), for signal()

// What a fault raises ends no call.
bool is_counted(int signal) {
  constexpr std::array<int, 6> kFaults{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
  return signal > 0 && signal < NSIG && std::ranges::find(kFaults, signal) == kFaults.end();
}

// Stands in for each handler of the program's, which gets all that the kernel gives.
void on_signal(int signal, siginfo_t* info, void* context) {
  const Entry& entry = entries[static_cast<std::size_t>(signal)];
  ThreadSignals& mine = thread_signals;
  const auto count = [](std::atomic<std::uint32_t>& counter) {  // this thread's alone
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  };
  count(mine.handled);
  if ((entry.flags.load(std::memory_order_acquire) & SA_RESTART) == 0) count(mine.breaking);
  if (auto* const wake = mine.wake.load(std::memory_order_acquire)) {
    const int before = errno;
    wake(mine.to_wake);
    errno = before;
  }
  entry.handler.load(std::memory_order_acquire)(signal, info, context);
}

// Handlers may install handlers: none runs while a thread is at the table.
class TableLock {
 public:
  TableLock() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    entries_mutex.lock();
  }
  ~TableLock() {
    entries_mutex.unlock();
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  TableLock(const TableLock&) = delete;
  TableLock& operator=(const TableLock&) = delete;

 private:
  sigset_t before_;
};

bool has_handler(const struct sigaction& action) {
  return action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
}

}  // namespace

int set_action(int signal, const struct sigaction* action, struct sigaction* former) {
  if (!is_counted(signal)) return libc().sigaction(signal, action, former);
  const TableLock lock;
  Entry& entry = entries[static_cast<std::size_t>(signal)];
  Handler* const handler_before = entry.handler.load(std::memory_order_relaxed);
  const int flags_before = entry.flags.load(std::memory_order_relaxed);
  struct sigaction ours{};
  const bool stands_in = action != nullptr && has_handler(*action);
  if (stands_in) {
    ours = *action;
    ours.sa_sigaction = on_signal;
    ours.sa_flags |= SA_SIGINFO;
    entry.flags.store(action->sa_flags, std::memory_order_relaxed);
    entry.handler.store(action->sa_sigaction, std::memory_order_release);
  }
  struct sigaction kernels{};
  const int result = libc().sigaction(signal, stands_in ? &ours : action, &kernels);
  if (result != 0) {
    entry.flags.store(flags_before, std::memory_order_relaxed);
    entry.handler.store(handler_before, std::memory_order_release);
  } else if (former != nullptr) {
    *former = kernels;
    if (kernels.sa_sigaction == on_signal) {
      former->sa_sigaction = handler_before;
      former->sa_flags = (kernels.sa_flags & ~SA_SIGINFO) | (flags_before & SA_SIGINFO);
    }
  }
  return result;
}

void signals_after_fork_in_child() { new (&entries_mutex) std::mutex; }

namespace {

// What all older calls come down to.
sighandler_t install(int signal, sighandler_t handler, int flags, bool masks_itself) {
  if (handler == SIG_ERR || signal <= 0 || signal >= NSIG) {
    errno = EINVAL;
    return SIG_ERR;
  }
  struct sigaction action{};
  struct sigaction former{};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ::sigemptyset(&action.sa_mask);
  if (masks_itself) ::sigaddset(&action.sa_mask, signal);
  return set_action(signal, &action, &former) == 0 ? former.sa_handler : SIG_ERR;
}

}  // namespace

}  // namespace tideline::shim::sockets

using namespace tideline::shim::sockets;  // NOLINT(google-build-using-namespace): the C face of it

#pragma GCC visibility push(default)
extern "C" {

// NOLINTBEGIN(readability-identifier-naming): the C library's names
int sigaction(int signal, const struct sigaction* action, struct sigaction* former) noexcept {
  return set_action(signal, action, former);
}
int __sigaction(int signal, const struct sigaction* action, struct sigaction* former) noexcept {
  return set_action(signal, action, former);
}

sighandler_t signal(int number, sighandler_t handler) noexcept {
  const bool interrupts = ::sigismember(&interrupting, number) == 1;
  return install(number, handler, interrupts ? 0 : SA_RESTART, true);
}
sighandler_t ssignal(int number, sighandler_t handler) noexcept { return signal(number, handler); }
sighandler_t bsd_signal(int number, sighandler_t handler) noexcept {
  return signal(number, handler);
}

sighandler_t sysv_signal(int number, sighandler_t handler) noexcept {
  return install(number, handler, static_cast<int>(SA_RESETHAND) | SA_NODEFER, false);
}
sighandler_t __sysv_signal(int number, sighandler_t handler) noexcept {
  return sysv_signal(number, handler);
}

int siginterrupt(int number, int interrupts) noexcept {
  struct sigaction action{};
  if (set_action(number, nullptr, &action) != 0) return -1;
  if (interrupts != 0) {
    ::sigaddset(&interrupting, number);
    action.sa_flags &= ~SA_RESTART;
  } else {
    ::sigdelset(&interrupting, number);
    action.sa_flags |= SA_RESTART;
  }
  return set_action(number, &action, nullptr);
}

// A disposition, or the signal blocked: SIG_HOLD.
sighandler_t sigset(int number, sighandler_t handler) noexcept {
  sigset_t one;
  sigset_t before;
  ::sigemptyset(&one);
  if (::sigaddset(&one, number) != 0) return SIG_ERR;
  sighandler_t former = SIG_ERR;
  if (handler == SIG_HOLD) {
    struct sigaction action{};
    if (::sigprocmask(SIG_BLOCK, &one, &before) != 0) return SIG_ERR;
    if (set_action(number, nullptr, &action) == 0) former = action.sa_handler;
  } else {
    former = install(number, handler, 0, false);
    if (former == SIG_ERR || ::sigprocmask(SIG_UNBLOCK, &one, &before) != 0) return SIG_ERR;
  }
  return ::sigismember(&before, number) == 1 ? SIG_HOLD : former;
}
// NOLINTEND(readability-identifier-naming)

}  // extern "C"
#pragma GCC visibility pop
