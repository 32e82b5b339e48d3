// SPDX-License-Identifier: Apache-2.0
// The RDMA device of a worker whose users are programs behind queue pairs. Each turn it sends what
// the programs have posted, and brings them their completions. Thread: the worker's.
#pragma once

#include <cstddef>
#include <vector>

#include "base/time.h"
#include "engine/rdma_service.h"
#include "rdma/device.h"

namespace tideline::engine {

class ServedCq;

class ServedRdma {
 public:
  // Both outlive it.
  ServedRdma(rdma::Device& device, Worker& worker);

  rdma::Device& device() { return device_; }
  const rdma::Device& device() const { return device_; }

  Instant next_deadline() const {
    return announced_.empty() ? service_.next_deadline() : Instant{};
  }
  // Returns whether there was anything to do.
  bool run(Instant now);

  // --- For completion queues: it has some for its program, or goes.
  void announce(ServedCq& cq);
  void forget(ServedCq& cq);

 private:
  rdma::Device& device_;
  RdmaService service_;
  std::vector<ServedCq*> announced_;  // each once: never more than the device has
};

}  // namespace tideline::engine
