// SPDX-License-Identifier: Apache-2.0
// An engine inside a program: what a shim library starts at the first use of a device or socket,
// and calls from then on in the program's threads. See ring/gate.h for who runs the engine,
// helper.h for what happens when nobody calls. Any thread.
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/mapping.h"
#include "proofs/inline_engine/channel.h"
#include "proofs/inline_engine/engine.h"
#include "proofs/inline_engine/high_fds.h"
#include "ring/gate.h"
#include "ring/wake_flag.h"

namespace proofs::inline_engine {

using tideline::ring::Entry;
using tideline::ring::GateState;
using Gate = tideline::ring::Gate<Work>;

struct RuntimeOptions {
  std::string meeting_point;                                    // the path of the peer's socket
  tideline::Duration take_over = std::chrono::milliseconds(1);  // after the last poll
  tideline::Duration timer_period{0};
  // How the helper is scheduled: its time slice (Linux 6.12; 0: the default), its niceness, and
  // whether it may use all cores of the machine although the starting thread may not.
  tideline::Duration helper_slice{0};
  int helper_nice = 0;
  bool helper_on_all_cores = false;
};

// What the program's threads and the helper share. In memory of its own that a forked child reads
// as zeros (MADV_WIPEONFORK): there the gate is closed and no number is the engine's, without a
// handler and without a getpid() per call.
struct Control {
  Gate gate;
  HighFds fds;
  // TSC of the program's last poll. Beside the gate's word, not on its line: pollers that find the
  // gate busy write it, too.
  alignas(tideline::kCacheLine) std::atomic<std::uint64_t> last_poll{0};
  // When the helper looks again by itself; 0 while it ticks. Written under the gate.
  alignas(tideline::kCacheLine) std::atomic<std::uint64_t> helper_sleeps_until{0};
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> ticks{0};
  std::atomic<std::uint64_t> take_overs{0};
  std::atomic<std::uint64_t> timer_fires{0};  // written under the gate
};

class Runtime {
 public:
  static tideline::Result<std::unique_ptr<Runtime>> start(const RuntimeOptions& options);
  // Ends the helper. A shim never does it: the process may exit at any moment without.
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  // Drives the engine once. kClosed: see state().
  Entry poll() {
    ProgramHolder holder{*this};
    const Entry entry = control_->gate.enter(holder);
    if (entry == Entry::kBusy) {
      control_->last_poll.store(tideline::tsc_now(), std::memory_order_relaxed);
    }
    if (holder.ring_peer) ring(EngineFile::kPeerBell);
    if (holder.kick) ring(EngineFile::kKick);
    return entry;
  }

  // Sends one message to the peer, now or by whoever holds the engine.
  Entry submit(const Work& work);

  GateState state() const { return control_->gate.state(); }
  HighFds& fds() { return control_->fds; }
  const Control& control() const { return *control_; }
  pid_t helper_tid() const { return helper_tid_; }

 private:
  friend class Helper;

  // Runs the engine for a call of the program.
  struct ProgramHolder {
    Runtime& runtime;
    bool ring_peer = false;
    bool kick = false;

    void run() {
      const std::uint64_t now = tideline::tsc_now();
      runtime.control_->last_poll.store(now, std::memory_order_relaxed);
      runtime.run_engine(now, Server::kProgram, ring_peer);
      // The helper sleeps past what this call has scheduled.
      kick |= runtime.engine_->next_deadline() <
              runtime.control_->helper_sleeps_until.load(std::memory_order_relaxed);
    }
    bool ready() const { return runtime.has_room(); }
    void execute(const Work& work) {
      runtime.engine_->execute(work, tideline::tsc_now(), Server::kProgram);
      ring_peer |= runtime.peer_notifier_->should_ring();
    }
  };

  struct ControlDeleter {
    void operator()(Control* control) const;
  };
  using ControlPtr = std::unique_ptr<Control, ControlDeleter>;

  Runtime(RuntimeOptions options, ControlPtr control)
      : options_(std::move(options)), control_(std::move(control)) {}

  static tideline::Result<ControlPtr> make_control();

  // For the holder of the gate. Whether there is room for a message to the peer; if not, the peer
  // rings the helper when there is. So nothing waits for room that nobody tells of.
  bool has_room() {
    if (engine_->ready()) return true;
    tideline::ring::WakeFlag& flag = channel_->room_flag;
    if (flag.sequence() % 2 == 1) flag.disarm();  // a ring is due once per arming
    flag.arm();
    return engine_->ready();
  }
  // For the holder of the gate. Returns whether there was work; sets `ring_peer` if the peer must
  // be rung for.
  bool run_engine(std::uint64_t now, Server server, bool& ring_peer) {
    if (!engine_->has_work(now)) return false;
    static_cast<void>(has_room());
    if (!engine_->run(now, server)) return false;
    control_->timer_fires.store(engine_->timer_fires(), std::memory_order_relaxed);
    ring_peer |= peer_notifier_->should_ring();
    return true;
  }
  tideline::Status start_helper();
  tideline::Status fetch(EngineFile file);
  void ring(EngineFile file);

  const RuntimeOptions options_;
  const ControlPtr control_;

  // Written by the helper before it reports, constant afterwards.
  tideline::Mapping channel_memory_;
  Channel* channel_ = nullptr;
  std::optional<Engine> engine_;
  std::optional<tideline::ring::Notifier> peer_notifier_;
  std::array<int, kEngineFiles> helper_numbers_{};
  pid_t helper_tid_ = -1;
  tideline::Status helper_status_;
  std::atomic<bool> helper_reported_{false};
  pthread_t helper_thread_{};
  bool helper_started_ = false;
};

}  // namespace proofs::inline_engine
