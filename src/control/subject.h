// SPDX-License-Identifier: Apache-2.0
// An engine that can be looked at from another thread. Thread: the server's.
#pragma once

#include <chrono>
#include <functional>

#include "base/time.h"
#include "engine/queue_server.h"
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
  // Null if no programs attach to the engine.
  virtual const engine::QueueServer* queue_server() const { return nullptr; }

 protected:
  ~Subject() = default;
};

// A worker that a thread of the program's drives.
class WorkerSubject final : public Subject {
 public:
  // All outlive it.
  explicit WorkerSubject(engine::Worker& worker, const rdma::Device* device = nullptr,
                         const engine::QueueServer* queue_server = nullptr)
      : worker_(worker), device_(device), queue_server_(queue_server) {}

  bool look(const std::function<void(engine::Worker&, Instant)>& with) override {
    constexpr Duration kPatience = std::chrono::seconds(1);
    return worker_.ask([&](Instant now) { with(worker_, now); }, kPatience);
  }
  const rdma::Device* device() const override { return device_; }
  const engine::QueueServer* queue_server() const override { return queue_server_; }

 private:
  engine::Worker& worker_;
  const rdma::Device* device_;
  const engine::QueueServer* queue_server_;
};

}  // namespace tideline::control
