// SPDX-License-Identifier: Apache-2.0
// Joins two wires: every frame that arrives on one leaves on the other, whomever it is for. What
// the second lacks of the first's offloads is done on the way (nic::Function), so no checksum
// leaves unfilled. One loop for both, with the one wait. Thread: the one that created the pool;
// stop() on any, and in signal handlers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/time.h"
#include "nic/function.h"
#include "packet/packet.h"
#include "packet/pool.h"
#include "port/port.h"
#include "ring/bell.h"
#include "ring/spin_budget.h"
#include "ring/waiter.h"
#include "ring/wake_flag.h"

namespace tideline::engine {

class Forwarder {
 public:
  using Ports = std::array<std::unique_ptr<port::Port>, 2>;

  // The frames of both ports lie in `pool`. An error if one port's packets do not fit the other.
  static Result<std::unique_ptr<Forwarder>> create(std::unique_ptr<packet::Pool> pool, Ports ports);
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  // Until `end`, or stop().
  void run(Instant end);
  // Async-signal-safe. A forwarder that was stopped runs no more.
  void stop() noexcept;

  port::Port& port(std::size_t side) { return *ports_[side]; }
  const nic::Function& function(std::size_t side) const { return functions_[side]; }

 private:
  Forwarder(std::unique_ptr<packet::Pool> pool, Ports ports, ring::EventBell bell);

  void turn(Instant now);
  bool has_work(Instant end);
  void sleep(Instant end);
  Instant next_deadline() const;
  bool is_stopped() const { return stopped_.load(std::memory_order_relaxed); }

  // In this order: frames and ports go before their pool.
  std::unique_ptr<packet::Pool> pool_;
  Ports ports_;
  std::array<nic::Function, 2> functions_;
  std::array<packet::Burst, 2> received_;
  ring::EventBell bell_;
  ring::WakeFlag flag_;
  ring::Waiter<ring::SpinBudget> waiter_;
  std::atomic<bool> stopped_{false};
};

}  // namespace tideline::engine
