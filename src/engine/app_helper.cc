// SPDX-License-Identifier: Apache-2.0
#include "engine/app_helper.h"

#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/clock.h"
#include "base/fault_handler.h"

namespace tideline::engine {
namespace {

// While a thread of the program sleeps on the wire.
constexpr Duration kLongestNap = std::chrono::seconds(1);

Instant from_nanoseconds(std::int64_t count) { return Instant(Duration(count)); }

}  // namespace

void* AppHelper::main(void* engine) {
  ::prctl(PR_SET_NAME, "tideline-helper");
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  unblock_fault_signals();  // it copies for programs, too
  AppHelper helper(*static_cast<AppEngine*>(engine));
  const AppOptions& options = helper.engine_.options_;
  if (options.at_start != nullptr) options.at_start(options.context);
  while (helper.tick_until_idle() && helper.serve_until_polled()) {
  }
  return nullptr;
}

Instant AppHelper::take_over_due() const {
  const std::int64_t last_poll = control_.last_poll.load(std::memory_order_relaxed);
  return from_nanoseconds(last_poll) + (last_poll == 0 ? Duration(0) : engine_.options_.take_over);
}

bool AppHelper::tick_until_idle() {
  // At least a little: a holder that was preempted must get a chance to run.
  const Duration shortest = engine_.options_.take_over / 8;
  Duration nap = engine_.options_.take_over;
  for (;;) {
    const Instant now = monotonic_now();
    if (control_.program_sleeps.load(std::memory_order_relaxed)) {
      if (!nap_until(now + nap)) return false;
      nap = std::min<Duration>(2 * nap, kLongestNap);
      continue;
    }
    nap = engine_.options_.take_over;
    if (take_over_due() <= now) return true;
    if (!sleep(std::max(take_over_due(), now + shortest), false)) return false;
  }
}

bool AppHelper::nap_until(Instant end) {
  control_.helper_naps_until.store(end.time_since_epoch().count());
  const bool go_on = !control_.program_sleeps.load() || sleep(end, false);
  control_.helper_naps_until.store(0);
  return go_on;
}

ring::Entry AppHelper::serve(bool& worked) {
  struct Turn {
    AppHelper& helper;
    bool worked = false;

    void run() {
      AppEngine& engine = helper.engine_;
      if (helper.control_.armed == Armed::kProgram) return;  // it serves itself
      engine.own([&] {
        // Anew each time: a notifier rings once per arming.
        if (helper.control_.armed == Armed::kHelper) engine.worker_->port().disarm(0);
        engine.worker_->port().arm(0);
        helper.control_.armed = Armed::kHelper;
        worked |= engine.worker_->turn(monotonic_now());
      });
      note_deadline();
    }
    static bool ready() { return true; }
    void execute(const AppWork& work) {
      helper.engine_.execute(work);
      worked = true;
      note_deadline();
    }
    void note_deadline() {
      helper.control_.helper_sleeps_until.store(
          helper.engine_.worker_->next_deadline().time_since_epoch().count(),
          std::memory_order_relaxed);
    }
  };
  Turn turn{*this};
  const ring::Entry entry = control_.gate.enter(turn);
  worked = turn.worked;
  return entry;
}

// The port's flag belongs to whoever holds the gate, as all of the worker.
void AppHelper::disarm() {
  struct Disarm {
    AppHelper& helper;
    void run() {
      if (helper.control_.armed != Armed::kHelper) return;
      helper.engine_.own([&] { helper.engine_.come_back(); });
    }
    static bool ready() { return true; }
    void execute(const AppWork& work) { helper.engine_.execute(work); }
  };
  Disarm disarm{*this};
  while (control_.gate.enter(disarm) == ring::Entry::kBusy) ::sched_yield();
}

bool AppHelper::serve_until_polled() {
  control_.take_overs.fetch_add(1, std::memory_order_relaxed);
  const std::int64_t last_poll = control_.last_poll.load(std::memory_order_relaxed);
  for (;;) {
    bool worked = false;
    const ring::Entry entry = serve(worked);
    if (entry == ring::Entry::kClosed) return false;
    const bool program_is_back = entry == ring::Entry::kBusy ||
                                 control_.program_sleeps.load(std::memory_order_relaxed) ||
                                 control_.last_poll.load(std::memory_order_relaxed) != last_poll;
    if (!program_is_back && !worked) {
      const Instant until =
          from_nanoseconds(control_.helper_sleeps_until.load(std::memory_order_relaxed));
      if (!sleep(until, true)) return false;
    }
    if (program_is_back) {
      disarm();
      return true;
    }
  }
}

bool AppHelper::sleep(Instant until, bool on_wire) {
  timespec timeout{};
  if (until != kNever) {
    constexpr std::int64_t kNanoseconds = 1'000'000'000;
    // What is due at once is due at Instant::min().
    const Instant now = monotonic_now();
    const std::int64_t left = until <= now ? 0 : (until - now).count();
    timeout = {.tv_sec = left / kNanoseconds, .tv_nsec = left % kNanoseconds};
  }
  std::array<pollfd, 2> fds{
      pollfd{.fd = engine_.kick_.fd(), .events = POLLIN},
      pollfd{.fd = on_wire ? engine_.worker_->port().fd(0) : -1, .events = POLLIN}};
  ::ppoll(fds.data(), fds.size(), until == kNever ? nullptr : &timeout, nullptr);
  if ((fds[0].revents & POLLIN) != 0) engine_.kick_.silence();
  return !control_.stop.load(std::memory_order_acquire);
}

}  // namespace tideline::engine
