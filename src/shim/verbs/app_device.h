// SPDX-License-Identifier: Apache-2.0
// The device of an engine in this process: engine.h over the room `rdma`, each call under the
// engine's lock. Thread: any.
#pragma once

#include <memory>

#include "base/error.h"
#include "base/time.h"
#include "rdma/device.h"
#include "shim/verbs/engine.h"

namespace tideline::shim::verbs {

// Who has the lock.
class EngineLock {
 public:
  // Runs `body(now)` with the engine's lock held, then sends what it has queued. False if the
  // engine is closed.
  bool locked(const Callback<Instant>& body) { return run_locked(body, true); }
  // Runs `body()` with the lock held; it queues nothing to send that would not wait for the next
  // call. Cheaper than the above.
  template <typename Body>
  bool locked_to_receive(const Body& body) {
    const auto run = [&](Instant /*now*/) { body(); };
    return run_locked(run, false);
  }

 protected:
  ~EngineLock() = default;

 private:
  virtual bool run_locked(const Callback<Instant>& body, bool sends) = 0;
};

// Both outlive what it gives.
Result<std::unique_ptr<OpenDevice>> open_in_process(EngineLock& engine, rdma::Device& device);

}  // namespace tideline::shim::verbs
