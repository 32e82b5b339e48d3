// SPDX-License-Identifier: Apache-2.0
#include "engine/forwarder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "engine/sleep.h"

namespace tideline::engine {

Result<std::unique_ptr<Forwarder>> Forwarder::create(std::unique_ptr<packet::Pool> pool,
                                                     Ports ports) {
  for (const auto& port : ports) {
    if (Status s = nic::Function::check(port->info()); !s) return fail(std::move(s.error()));
  }
  const port::PortInfo& left = ports[0]->info();
  const port::PortInfo& right = ports[1]->info();
  if (left.mtu != right.mtu) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("{} carries packets of {} bytes, {} of {}", left.name,
                                     left.mtu, right.name, right.mtu),
                 .remedy = "give both the same MTU: --mtu, or ip link set IF mtu N"});
  }
  auto bell = ring::EventBell::create();
  if (!bell) return fail(std::move(bell.error()));
  return std::unique_ptr<Forwarder>(
      new Forwarder(std::move(pool), std::move(ports), std::move(*bell)));
}

Forwarder::Forwarder(std::unique_ptr<packet::Pool> pool, Ports ports, ring::EventBell bell)
    : pool_(std::move(pool)),
      ports_(std::move(ports)),
      functions_{nic::Function(*ports_[0], 0, *pool_, ports_[0]->info().mac),
                 nic::Function(*ports_[1], 0, *pool_, ports_[1]->info().mac)},
      bell_(std::move(bell)),
      waiter_(flag_, ring::SpinBudget()) {
  for (nic::Function& function : functions_) function.accept_all();
}

void Forwarder::run(Instant end) {
  for (Instant now = monotonic_now(); !is_stopped() && now < end; now = monotonic_now()) {
    turn(now);
    waiter_.wait([&] { return has_work(end); }, [&] { sleep(end); });
  }
}

void Forwarder::stop() noexcept {
  stopped_.store(true, std::memory_order_relaxed);
  bell_.ring();
}

void Forwarder::turn(Instant now) {
  for (std::size_t side = 0; side < functions_.size(); ++side) {
    packet::Burst& received = received_[side];
    functions_[side].rx_burst(received, now);
    for (packet::PacketPtr& frame : received) functions_[1 - side].transmit(std::move(frame), now);
    received.clear();
  }
  for (nic::Function& function : functions_) function.flush(now);
  pool_->reclaim();
}

Instant Forwarder::next_deadline() const {
  return std::min(ports_[0]->next_deadline(0), ports_[1]->next_deadline(0));
}

bool Forwarder::has_work(Instant end) {
  const Instant now = monotonic_now();
  std::size_t count = 0;
  for (std::size_t side = 0; side < functions_.size(); ++side) {
    count += functions_[side].rx_burst(received_[side], now);
  }
  return count > 0 || is_stopped() || std::min(end, next_deadline()) <= now;
}

void Forwarder::sleep(Instant end) {
  for (const auto& port : ports_) port->arm(0);
  if (!has_work(end)) {
    sleep_until({ports_[0]->fd(0), ports_[1]->fd(0), bell_.fd()}, std::min(end, next_deadline()));
  }
  for (const auto& port : ports_) port->disarm(0);
}

}  // namespace tideline::engine
