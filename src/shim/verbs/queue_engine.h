// SPDX-License-Identifier: Apache-2.0
// What the parts of queue_device.h share: the channel, calls, waiters, and what happens when the
// front end is gone. Thread: any.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "client/queue_channel.h"
#include "queue/verbs.h"
#include "shim/verbs/engine.h"

namespace tideline::shim::verbs {

// What the front end has made cannot be mapped.
std::unexpected<Error> no_memory();

class QueueEngine final : public Engine {
 public:
  static Result<QueueEngine*> attach(const std::string& path, const std::string& program);

  const DeviceTraits& traits() const override { return traits_; }
  std::string interface() const override { return {}; }
  Result<rdma::AddressVector> address_of(std::uint16_t lid) override;
  Result<std::unique_ptr<OpenDevice>> open() override;
  void poll() override {}
  void about_to_sleep() override {}

  // --- For its parts.
  Result<queue::VerbsResponse> call(const queue::VerbsRequest& request);
  // An object goes. With the front end, or in a forked child, it has gone already.
  Status destroy(std::uint32_t handle);
  // Something was posted to the object.
  void hint(std::uint32_t handle) { channel_->hint(queue::verbs_hint(handle)); }
  bool is_gone() const { return channel_->is_gone(); }
  bool is_forked() const { return forked_.load(std::memory_order_relaxed); }
  // An object's rings. Empty: there is no memory.
  std::span<std::byte> piece(const queue::PlaceRecord& place);
  Result<std::unique_ptr<client::Waiter>> take_waiter();
  void give_waiter(std::unique_ptr<client::Waiter> waiter);

 private:
  explicit QueueEngine(std::unique_ptr<client::QueueChannel> channel)
      : channel_(std::move(channel)) {}
  Status learn();
  void open_heap();
  static void after_fork_in_child();

  std::unique_ptr<client::QueueChannel> channel_;
  std::atomic<bool> forked_{false};
  DeviceTraits traits_;
  std::atomic<std::uint64_t> word_{0};  // what the engine is to find, if it can look into us
  std::mutex mutex_;
  std::vector<std::unique_ptr<client::Waiter>> free_waiters_;
};

}  // namespace tideline::shim::verbs
