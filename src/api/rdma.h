// SPDX-License-Identifier: Apache-2.0
// An engine of the public API whose host has an RDMA device beside it, for programs of tideline's
// own: verbs have no public C++ face yet. On a shared segment one-sided operations go past the wire
// (room `placement`), unless frames are to be seen or spoilt.
//
// What is posted leaves at the engine's next poll() or wait(). A completion queue whose `user` is
// an api::Source gives events as streams do, once for each request_notification().
//
// Thread: the engine's, which lives as long as the object.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include <tideline/engine.h>

#include "api/runtime.h"
#include "base/random.h"
#include "engine/rdma_service.h"
#include "placement/placement.h"
#include "rdma/memory_access.h"

namespace tideline::api {

class RdmaEngine final : private rdma::EventSink {
 public:
  static Result<std::unique_ptr<RdmaEngine>> open(const EngineOptions& options,
                                                  const HostOptions& host);
  RdmaEngine(const RdmaEngine&) = delete;
  RdmaEngine& operator=(const RdmaEngine&) = delete;
  // Streams, listeners and sources of the engine are gone before.
  ~RdmaEngine();

  Engine& engine() { return *engine_; }
  const Host& host() const { return *host_; }
  Runtime& runtime() { return Inside::runtime(*engine_); }
  rdma::Device& device() { return *device_; }
  rdma::Context& context() { return *context_; }
  // The index of an address of the host; none if it is not one.
  std::optional<std::uint8_t> gid_index_of(const Endpoint& local) const;
  // Bytes that code of ours, and the kernel for us, has traversed: of engine and device.
  packet::PassCounter passes();

 private:
  explicit RdmaEngine(std::unique_ptr<placement::Placement> placement)
      : placement_(std::move(placement)) {}
  Status attach();

  void completion(rdma::CompletionQueue& cq) override;
  // A queue pair that fails completes all its requests with errors.
  void asynchronous(const rdma::AsyncEvent& /*event*/) override {}

  std::unique_ptr<placement::Placement> placement_;  // null: everything goes by frames
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Host> host_;
  engine::RandomKeys keys_;
  Rng rng_{0};
  rdma::GuardedMemory memory_;
  std::unique_ptr<rdma::Device> device_;
  std::optional<engine::RdmaService> service_;
  rdma::Context* context_ = nullptr;  // the device's
};

}  // namespace tideline::api
