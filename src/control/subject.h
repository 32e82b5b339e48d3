// SPDX-License-Identifier: Apache-2.0
// An engine that can be looked at from another thread. Thread: the server's.
#pragma once

#include <chrono>
#include <functional>

#include "base/time.h"
#include "engine/worker.h"
#include "rdma/device.h"

namespace tideline::control {

class Subject {
 public:
  // Has it done while nobody drives the engine, and waits for it. False: the engine is closed, or
  // nobody has driven it in time.
  virtual bool look(const std::function<void(engine::Worker&, Instant)>& with) = 0;
  // Null if there is none.
  virtual const rdma::Device* device() const = 0;

 protected:
  ~Subject() = default;
};

// A worker that a thread of the program's drives.
class WorkerSubject final : public Subject {
 public:
  // Both outlive it.
  explicit WorkerSubject(engine::Worker& worker, const rdma::Device* device = nullptr)
      : worker_(worker), device_(device) {}

  bool look(const std::function<void(engine::Worker&, Instant)>& with) override {
    constexpr Duration kPatience = std::chrono::seconds(1);
    return worker_.ask([&](Instant now) { with(worker_, now); }, kPatience);
  }
  const rdma::Device* device() const override { return device_; }

 private:
  engine::Worker& worker_;
  const rdma::Device* device_;
};

}  // namespace tideline::control
