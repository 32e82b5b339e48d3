// SPDX-License-Identifier: Apache-2.0
// Signals that the program handles while a call of its waits. The kernel ends the sleep that a
// handler interrupts, but a call that waits looks for a while before it sleeps: the program's
// handlers run behind one of ours, which counts them per thread, so that a call knows what has been
// handled since it began. Thread: any, also in handlers.
#pragma once

#include <signal.h>

#include <atomic>
#include <cstdint>

namespace tideline::shim::sockets {

// Of one thread, changed by its handlers.
struct ThreadSignals {
  std::atomic<std::uint32_t> handled{0};
  std::atomic<std::uint32_t> breaking{0};  // of these, without SA_RESTART
  std::atomic<void (*)(void*)> wake{nullptr};
  void* to_wake = nullptr;
};

// The library is there when the program starts, so it has its place in the static TLS block.
[[gnu::tls_model("initial-exec")]] inline constinit thread_local ThreadSignals thread_signals;

// The moment at which a call began.
class SignalMark {
 public:
  SignalMark()
      : handled_(thread_signals.handled.load(std::memory_order_relaxed)),
        breaking_(thread_signals.breaking.load(std::memory_order_relaxed)) {}

  // Whether a handler has run since.
  bool has_passed() const {
    return thread_signals.handled.load(std::memory_order_relaxed) != handled_;
  }
  // Whether the call has been interrupted: by any handler, or, if the kernel would restart the call
  // for handlers with SA_RESTART, by one without.
  bool is_interrupted(bool restarts) const {
    return restarts ? thread_signals.breaking.load(std::memory_order_relaxed) != breaking_
                    : has_passed();
  }

 private:
  std::uint32_t handled_;
  std::uint32_t breaking_;
};

// Around the last look at a SignalMark and the system call behind it: a handler that runs in
// between calls `wake`, which makes that call return at once.
class WakeOnSignal {
 public:
  WakeOnSignal(void (*wake)(void*), void* context) {
    thread_signals.to_wake = context;
    thread_signals.wake.store(wake, std::memory_order_release);
  }
  ~WakeOnSignal() { thread_signals.wake.store(nullptr, std::memory_order_release); }
  WakeOnSignal(const WakeOnSignal&) = delete;
  WakeOnSignal& operator=(const WakeOnSignal&) = delete;
};

// sigaction(2); handlers of the program's run behind ours.
int set_action(int signal, const struct sigaction* action, struct sigaction* former);
void signals_after_fork_in_child();

}  // namespace tideline::shim::sockets
