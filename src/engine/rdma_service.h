// SPDX-License-Identifier: Apache-2.0
// An RDMA device on a worker: what a shim and programs of tideline's own put beside the host.
// Thread: the worker's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "engine/worker.h"
#include "rdma/device.h"
#include "wire/mac_address.h"

namespace tideline::engine {

// Keys that nobody can guess: from the kernel, a batch at a time.
class RandomKeys final : public rdma::KeySource {
 public:
  std::uint32_t next_key() override;

 private:
  std::array<std::uint32_t, 64> keys_{};
  std::size_t used_ = 64;
};

// RFC 4291 appendix A, and what Linux makes of a MAC: the device's GUID.
std::uint64_t eui64_of(const wire::MacAddress& mac);

// The host's addresses in the order of the table; then the same of RoCE v1.
void fill_gids(rdma::GidTable& gids, const HostOptions& host);
// What a device is like beside that host.
rdma::DeviceOptions device_options(const HostOptions& host, const wire::MacAddress& mac);
// From now on the worker's host has RoCE for that device. Both outlive each other's packets.
void join(rdma::Device& device, Worker& worker);

// The device as the worker's loop sees it. It sends what the wire takes: what a full wire drops is
// found missing by a time-out only, and programs choose long ones (UCX: a second).
class RdmaService final : public Service {
 public:
  // Both outlive it.
  RdmaService(rdma::Device& device, Worker& worker) : device_(device), worker_(worker) {}

  Instant next_deadline() const override {
    return device_.has_work() ? Instant{} : device_.next_deadline();
  }
  bool run(Instant now) override;

 private:
  // Whether frames are cut before the wire: then one of 64 KiB needs a burst.
  bool is_cut() const { return !worker_.port().capabilities().roce_gso; }
  // Frames that may be sent now.
  std::size_t room(Instant now);

  rdma::Device& device_;
  Worker& worker_;
  Instant full_since_ = kNever;
};

}  // namespace tideline::engine
