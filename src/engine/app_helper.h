// SPDX-License-Identifier: Apache-2.0
// The thread that serves an engine in `app` placement while the program does not call it.
//
//   tick    asleep until the program's last poll is `take_over` old; each poll pushes that
//           away; slower and slower while a thread of the program sleeps on the wire itself
//   serve   arms the port, runs the engine, sleeps without ticks until a frame, the engine's
//           deadline or a kick. Once it wakes and sees that the program has polled meanwhile, it
//           ticks again.
// A call of the program disarms the port and wakes the helper, for it may take the bell with the
// frames (a port's bells are read by its rx_burst). docs/adr/0003 does without that kick, where the
// bell is the helper's own. Blocks all signals but
// those of faults.
#pragma once

#include "base/time.h"
#include "engine/app_engine.h"

namespace tideline::engine {

class AppHelper {
 public:
  // The thread's function; `engine` is an AppEngine.
  static void* main(void* engine);

 private:
  using Armed = AppEngine::Control::Armed;

  explicit AppHelper(AppEngine& engine) : engine_(engine), control_(*engine.control_) {}

  // Returns when nobody has polled for long enough; false: stop.
  bool tick_until_idle();
  // As long as a thread of the program sleeps on the wire. False: stop.
  bool nap_until(Instant end);
  // Returns when the program has polled; false: stop.
  bool serve_until_polled();
  // One turn under the gate, with the port armed before it. `worked` tells whether there was
  // anything to do.
  ring::Entry serve(bool& worked);
  // Sleeps until `until`, a kick, or, if `on_wire`, a frame. False: stop.
  bool sleep(Instant until, bool on_wire);
  void disarm();
  Instant take_over_due() const;

  AppEngine& engine_;
  AppEngine::Control& control_;
};

}  // namespace tideline::engine
