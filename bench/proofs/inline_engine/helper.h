// SPDX-License-Identifier: Apache-2.0
// The thread that serves the engine while the program does not call it.
//
//   tick    asleep until the program's last poll is `take_over` old; each poll pushes that away
//   serve   announces need_wakeup, runs the engine, sleeps without ticks until a frame, the
//   engine's
//           deadline or a kick. Once it wakes and sees that the program has polled meanwhile, it
//           ticks again.
// So a program that comes back pays nothing: need_wakeup stays set until the next frame rings, and
// the helper clears up then.
//
// It owns all descriptors of the engine, in a table of its own (private_table.h), among them the
// socket whose hang-up tells the peer that the program is gone.
#pragma once

#include <optional>

#include "base/fd.h"
#include "proofs/inline_engine/runtime.h"
#include "ring/bell.h"

namespace proofs::inline_engine {

class Helper {
 public:
  // The thread's function; `runtime` is a Runtime.
  static void* main(void* runtime);

 private:
  explicit Helper(Runtime& runtime) : runtime_(runtime), control_(*runtime.control_) {}

  struct Holder;

  tideline::Status attach();
  tideline::Status set_up_scheduling() const;
  void loop();
  // Returns when nobody has polled for long enough; false: stop.
  bool tick_until_idle();
  // Returns when the program has polled; false: stop.
  bool serve_until_polled();
  // Sleeps until the TSC reads `until`, or a frame, a kick, or the peer's end. False: stop.
  bool sleep(std::uint64_t until);
  bool stopped() const { return control_.stop.load(std::memory_order_acquire); }

  Runtime& runtime_;
  Control& control_;
  tideline::UniqueFd peer_;                             // hangs up with either side
  std::optional<tideline::ring::EventBell> bell_;       // the peer rings it
  std::optional<tideline::ring::EventBell> kick_;       // the program rings it
  std::optional<tideline::ring::EventBell> peer_bell_;  // wakes the peer
};

}  // namespace proofs::inline_engine
