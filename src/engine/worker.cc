// SPDX-License-Identifier: Apache-2.0
#include "engine/worker.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "engine/sleep.h"

namespace tideline::engine {
Result<std::unique_ptr<Worker>> Worker::create(std::unique_ptr<packet::Pool> pool,
                                               std::unique_ptr<port::Port> port,
                                               std::uint64_t seed) {
  if (Status s = nic::Function::check(port->info()); !s) return fail(std::move(s.error()));
  auto bell = ring::EventBell::create();
  if (!bell) return fail(std::move(bell.error()));
  return std::unique_ptr<Worker>(
      new Worker(std::move(pool), std::move(port), std::move(*bell), seed));
}

Worker::Worker(std::unique_ptr<packet::Pool> pool, std::unique_ptr<port::Port> port,
               ring::EventBell bell, std::uint64_t seed)
    : pool_(std::move(pool)),
      port_(std::move(port)),
      function_(*port_, 0, *pool_, port_->info().mac),
      rng_(seed),
      bell_(std::move(bell)),
      waiter_(flag_, ring::SpinBudget()) {}

Worker::~Worker() {
  received_.clear();
  function_.clear();
  port_.reset();
}

Status Worker::add_host(const HostOptions& options) {
  host_.emplace(options, function_, *pool_, rng_);
  return host_->configure(options, monotonic_now());
}

void Worker::run(Task& task) {
  while (!is_stopped() && !task.is_done()) {
    const Instant now = monotonic_now();
    turn(now);
    if (task.next_deadline() <= now) {
      task.run_timers(now);
      flush(now);
    }
    if (is_stopped() || task.is_done()) break;
    wait(task.next_deadline());
  }
}

void Worker::wait(Instant deadline) {
  waiter_.wait([&] { return has_work(deadline); }, [&] { sleep(deadline); });
  woken_.store(false, std::memory_order_relaxed);
}

void Worker::wake() noexcept {
  woken_.store(true, std::memory_order_relaxed);
  bell_.ring();
}

void Worker::stop() noexcept {
  stopped_.store(true, std::memory_order_relaxed);
  bell_.ring();
}

bool Worker::ask(const std::function<void(Instant)>& look, Duration patience) {
  question_.store(&look, std::memory_order_release);
  wake();
  if (answered_.try_acquire_for(patience)) return true;
  // Taken back, unless it is being answered right now.
  if (question_.exchange(nullptr, std::memory_order_acq_rel) != nullptr) return false;
  answered_.acquire();
  return true;
}

void Worker::answer(Instant now) {
  const auto* look = question_.exchange(nullptr, std::memory_order_acq_rel);
  if (look == nullptr) return;
  (*look)(now);
  answered_.release();
}

bool Worker::turn(Instant now) {
  if (question_.load(std::memory_order_relaxed) != nullptr) answer(now);
  function_.rx_burst(received_, now);
  bool worked = !received_.empty();
  if (host_) aggregator_.run(received_);
  for (packet::PacketPtr& frame : received_) {
    if (host_) host_->stack().receive(std::move(frame), now);
  }
  received_.clear();
  if (host_ && host_->next_deadline() <= now) {
    host_->run_timers(now);
    worked = true;
  }
  if (service_ != nullptr) worked |= service_->run(now);
  flush(now);
  pool_->reclaim();
  return worked;
}

Instant Worker::next_deadline() const {
  Instant next = std::min(port_->next_deadline(0), function_.next_deadline());
  if (host_) next = std::min(next, host_->next_deadline());
  if (service_ != nullptr) next = std::min(next, service_->next_deadline());
  return next;
}

bool Worker::has_work(Instant deadline) {
  const Instant now = monotonic_now();
  return function_.rx_burst(received_, now) > 0 || is_stopped() ||
         woken_.load(std::memory_order_relaxed) ||
         (service_ != nullptr && service_->has_work(now)) ||
         std::min(deadline, next_deadline()) <= now;
}

void Worker::sleep(Instant deadline) {
  port_->arm(0);
  if (service_ != nullptr) service_->arm();
  if (!has_work(deadline)) {
    const int service = service_ == nullptr ? -1 : service_->fd();
    const unsigned readable =
        sleep_until({port_->fd(0), bell_.fd(), service}, std::min(deadline, next_deadline()));
    if ((readable & 2) != 0) bell_.silence();
  }
  if (service_ != nullptr) service_->disarm();
  port_->disarm(0);
}

}  // namespace tideline::engine
