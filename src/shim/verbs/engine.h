// SPDX-License-Identifier: Apache-2.0
// The engine behind the verbs of this process: started when it is first asked for, by
// ibv_open_device or for the device's GUID or GIDs, on the wire that the environment names. Only
// engine.cc knows how it is made; everything else of this shim sees the device and the lock.
//
// Beside the variables of shim/engine/app_process.h:
//   TIDELINE_DIRECT    0: one-sided operations go by frames, wherever the peer's memory is
//   TIDELINE_HEAP      0: the program's buffers are not made so that its peers can map them
//
// Thread: any.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"
#include "base/time.h"
#include "rdma/device.h"

namespace tideline::shim::verbs {

class Engine {
 public:
  // The engine of this process; starts it at the first call. Fails with the reason, told on
  // standard error once, if the wire cannot be opened; and in a forked child of a process that has
  // an engine.
  static Result<Engine*> get();

  virtual rdma::Device& device() = 0;
  // The kernel's interface that carries the wire; empty if there is none.
  virtual std::string interface() const = 0;

  // Runs `body(now)` with the engine's lock held, then sends what it has queued. False if the
  // engine is closed.
  template <typename Body>
  bool locked(const Body& body) {
    return run_locked(&run_body<Body>, &body, true);
  }
  // Runs `body()` with the lock held; it queues nothing to send that would not wait for the next
  // call. Cheaper than the above.
  template <typename Body>
  bool locked_to_receive(const Body& body) {
    const auto run = [&](Instant /*now*/) { body(); };
    return run_locked(&run_body<decltype(run)>, &run, false);
  }
  // Drives the engine once, unless somebody else does.
  virtual void poll() = 0;
  // The calling thread is about to block.
  virtual void about_to_sleep() = 0;

 protected:
  ~Engine() = default;

 private:
  template <typename Body>
  static void run_body(const void* context, Instant now) {
    (*static_cast<const Body*>(context))(now);
  }
  virtual bool run_locked(void (*body)(const void*, Instant), const void* context, bool sends) = 0;
};

// The engine of a process that has opened the device.
Engine& the_engine();

}  // namespace tideline::shim::verbs
