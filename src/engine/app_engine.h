// SPDX-License-Identifier: Apache-2.0
// Placement `app`: the engine in the program's own process. A shim starts it at the first use of a
// device or socket; from then on the program's calls drive it, and a helper thread serves it while
// the program does not call (app_helper.h). docs/adr/0003.
//
//   program's threads            gate (ring/gate.h)            helper
//   poll()       ------ free? ------> turn of the worker <----- nobody has polled for 1 ms
//   submit(work) ------ free? ------> the work, at once
//                   |__ held: the holder does it
//
// Thread: any, but for start() and the destructor.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/error.h"
#include "base/time.h"
#include "engine/worker.h"
#include "ring/bell.h"
#include "ring/gate.h"

namespace tideline::engine {

struct AppOptions {
  Duration take_over = std::chrono::milliseconds(1);  // after the program's last poll
  // Without one, the program drives the engine itself, also when it has nothing to call for.
  bool helper = true;
  // What the helper does first, for it is the one thread that lives as long as the engine.
  void (*at_start)(void* context) = nullptr;
  void* context = nullptr;
};

// What a call of the program wants done with the engine: `run(object, now)`. It must not block and
// not use the AppEngine.
struct AppWork {
  void (*run)(void* object, Instant now) = nullptr;
  void* object = nullptr;
};

class AppEngine {
 public:
  // Opens the gate to `worker` and starts the helper. The worker's pool passes from the calling
  // thread to whoever holds the gate.
  static Result<std::unique_ptr<AppEngine>> start(std::unique_ptr<Worker> worker,
                                                  const AppOptions& options = {});
  // Ends the helper. A shim never does it: the process may exit at any moment without.
  ~AppEngine();
  AppEngine(const AppEngine&) = delete;
  AppEngine& operator=(const AppEngine&) = delete;

  // Drives the engine once, unless somebody else does. kClosed: see state().
  ring::Entry poll();
  // Has the work done now, or by whoever holds the engine. kFull: too much is waiting, poll().
  ring::Entry submit(const AppWork& work);
  // Runs `body(worker, now)` while it holds the engine, then its turn; waits for it. False if the
  // engine is closed, or the caller a signal handler in the middle of a call: then nothing was run.
  // Counts as a poll, unless somebody sleeps.
  enum class Turn : std::uint8_t {
    kNone,   // the body has nothing to send, and the caller is soon back for what has come; it is
             // not told the time, and it does not count as a poll
    kSend,   // sends what the body has left with IP and TCP
    kWhole,  // the same with the service, receives, runs timers
  };
  template <typename Body>
  bool exclusively(Body&& body, Turn turn = Turn::kWhole);
  // The calling thread is about to block in the kernel: the helper serves from now on, not only
  // when the take-over time has passed.
  void hand_to_helper();
  // The same, and the thread serves itself: it sleeps on the wire's descriptor too, at most until
  // the deadline, and then calls leave_wire(). So a frame wakes one thread and not two. Nothing if
  // another thread of the program does so, if there is still work, or if the engine is closed.
  struct WireSleep {
    int descriptor;
    Instant deadline;
    std::uint32_t number;
  };
  std::optional<WireSleep> sleep_on_wire();
  void leave_wire(const WireSleep& sleep);

  ring::GateState state() const { return control_->gate.state(); }
  std::uint64_t take_overs() const { return control_->take_overs.load(std::memory_order_relaxed); }

 private:
  friend class AppHelper;

  // What threads share; a forked child reads it as zeros (MADV_WIPEONFORK): there the gate is
  // closed, without a handler and without a getpid() per call.
  struct Control {
    ring::Gate<AppWork> gate;
    // Monotonic nanoseconds of the program's last poll; 0 after hand_to_helper(). Beside the gate's
    // word, not on its line: pollers that find the gate held write it, too.
    alignas(kCacheLine) std::atomic<std::int64_t> last_poll{0};
    // When the helper looks again by itself; 0 while it does not sleep on the wire. Written under
    // the gate.
    alignas(kCacheLine) std::atomic<std::int64_t> helper_sleeps_until{0};
    // While a thread of the program sleeps on the wire, the helper has little to do, and ticks ever
    // more slowly. It says until when; whoever ends that sleep wakes it if that is long. Both
    // store, then load.
    std::atomic<bool> program_sleeps{false};
    std::atomic<std::int64_t> helper_naps_until{0};
    // For whose sleep the port is armed; under the gate.
    enum class Armed : std::uint8_t { kNobody, kHelper, kProgram };
    Armed armed = Armed::kNobody;
    std::uint32_t wire_sleeps = 0;  // so far; under the gate
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> take_overs{0};
  };
  struct ControlDeleter {
    void operator()(Control* control) const;
  };
  using ControlPtr = std::unique_ptr<Control, ControlDeleter>;

  // A call of the program that holds the gate.
  template <typename Body>
  struct Holder {
    AppEngine& engine;
    Body body;
    bool kick = false;  // wake the helper afterwards

    void run() {
      inside = &engine;
      engine.own([this] {
        kick |= engine.come_back();
        body();
      });
      kick |= engine.helper_oversleeps();
      inside = nullptr;
    }
    static bool ready() { return true; }
    void execute(const AppWork& work) {
      engine.execute(work);
      kick |= engine.helper_oversleeps();
    }
  };
  template <typename Body>
  Holder(AppEngine&, Body) -> Holder<Body>;

  AppEngine(std::unique_ptr<Worker> worker, const AppOptions& options, ControlPtr control,
            ring::EventBell kick);

  static Result<ControlPtr> make_control();
  Status start_helper();

  // For the holder of the gate: the pool is its own for the time.
  template <typename Body>
  void own(Body&& body) {
    worker_->pool().adopt();
    body();
    worker_->pool().disown();
  }
  void execute(const AppWork& work);
  // The program is awake and drives the engine itself: the helper need not. It goes on serving whom
  // hand_to_helper() was called for.
  void note_call(Instant now) {
    std::atomic<std::int64_t>& last_poll = control_->last_poll;
    if (last_poll.load(std::memory_order_relaxed) == 0) return;
    last_poll.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  }
  // For the holder of the gate, a call of the program: takes the port's bells from whoever sleeps
  // on them, for this call may consume the one that was to wake him. Whether the helper must be
  // told.
  bool come_back();
  bool helper_naps() const;
  // For the holder of the gate: the helper must not sleep past what this call has scheduled.
  bool helper_oversleeps() const;

  // The engine that this thread is in: a signal handler that calls, or has jumped out of a call,
  // would wait for itself.
  static inline thread_local const AppEngine* inside = nullptr;

  const AppOptions options_;
  const ControlPtr control_;
  const std::unique_ptr<Worker> worker_;
  const ring::EventBell kick_;  // wakes the helper
  pthread_t helper_{};
  bool helper_started_ = false;
};

template <typename Body>
bool AppEngine::exclusively(Body&& body, Turn turn) {
  if (inside == this) return false;
  Holder holder{*this, [&] {
                  if (turn == Turn::kNone) return body(*worker_, Instant{});
                  const Instant now = monotonic_now();
                  note_call(now);
                  body(*worker_, now);
                  if (turn == Turn::kSend) return worker_->flush(now);
                  // What was posted leaves before anything else is looked at.
                  worker_->send(now);
                  worker_->turn(now);
                }};
  ring::Entry entry = ring::Entry::kBusy;
  while ((entry = control_->gate.enter(holder)) == ring::Entry::kBusy) ::sched_yield();
  if (holder.kick) kick_.ring();
  return entry == ring::Entry::kRan;
}

}  // namespace tideline::engine
