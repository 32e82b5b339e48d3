// SPDX-License-Identifier: Apache-2.0
// A worker: owns a port, its memory, and the host on it, and runs them in one loop: receive burst,
// timers, transmit burst; then wait. Here the clock is read, once a turn. Thread: the one that
// created the worker's pool; stop() on any, and in signal handlers.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <semaphore>

#include "base/error.h"
#include "base/random.h"
#include "base/time.h"
#include "engine/host.h"
#include "nic/function.h"
#include "packet/packet.h"
#include "packet/pool.h"
#include "port/port.h"
#include "ring/bell.h"
#include "ring/spin_budget.h"
#include "ring/waiter.h"
#include "ring/wake_flag.h"
#include "tcp/aggregation.h"

namespace tideline::engine {

// What a program does beside its host, on the worker's thread.
class Task {
 public:
  virtual Instant next_deadline() const = 0;
  // The deadline has come.
  virtual void run_timers(Instant now) = 0;
  virtual bool is_done() const = 0;

 protected:
  ~Task() = default;
};

// What runs on a worker beside IP: RDMA, programs behind queue pairs. Thread: the worker's.
class Service {
 public:
  virtual Instant next_deadline() const = 0;
  // Once a turn, after what was received: sends what may be sent. Returns whether it did anything.
  virtual bool run(Instant now) = 0;

  // For work that comes neither from the wire nor by time: whether there is some for run(). Asked
  // all the time while the worker looks for work.
  virtual bool has_work(Instant /*now*/) { return false; }
  // The turn's last word, when all has happened and before frames leave: who was told of something
  // in this turn is woken here, once, and not before there is all of it.
  virtual void end_turn() {}
  // Around a sleep of the worker: from arm() on, such work makes fd() readable. The worker asks
  // has_work() once more before it sleeps.
  virtual int fd() const { return -1; }
  virtual void arm() {}
  virtual void disarm() {}

 protected:
  ~Service() = default;
};

class Worker {
 public:
  // The frames of the port lie in `pool`. `seed` is for the host's identifiers and jitter.
  static Result<std::unique_ptr<Worker>> create(std::unique_ptr<packet::Pool> pool,
                                                std::unique_ptr<port::Port> port,
                                                std::uint64_t seed);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  // Frames go first, for they may borrow from the host's connections.
  ~Worker();

  // Puts a host on the port's function. Without one, frames are received and forgotten.
  Status add_host(const HostOptions& options);
  // Null if there is none.
  Host* host() { return host_ ? &*host_ : nullptr; }

  // The service outlives the worker, or is taken off (null).
  void set_service(Service* service) { service_ = service; }

  // One turn of the loop, without a task: receive burst, timers, services, transmit burst. Returns
  // whether there was anything to do.
  bool turn(Instant now);
  // Sends what the host has left in the burst since the last turn.
  void flush(Instant now) {
    if (host_) host_->flush(now);
    if (service_ != nullptr) service_->end_turn();
    function_.flush(now);
  }
  // The half of a turn that sends what a service has been given.
  void send(Instant now) {
    if (service_ != nullptr && service_->run(now)) flush(now);
  }
  // When turn() must be called next, even if nothing arrives.
  Instant next_deadline() const;

  // Until the task is done, or stop().
  void run(Task& task);
  // Until there is something to do for turn(), wake(), or `deadline`: looks for a while, then
  // sleeps.
  void wait(Instant deadline);
  // Ends a wait(), or the next one. Async-signal-safe, on any thread.
  void wake() noexcept;
  // On another thread, one at a time: has `look(now)` done between two turns, on the worker's
  // thread, and waits for it. False: the worker has not been driven for as long as `patience`, and
  // nothing was done.
  bool ask(const std::function<void(Instant)>& look, Duration patience);
  // Async-signal-safe. A worker that was stopped runs no more.
  void stop() noexcept;
  bool is_stopped() const { return stopped_.load(std::memory_order_relaxed); }

  port::Port& port() { return *port_; }
  packet::Pool& pool() { return *pool_; }
  const nic::Function& function() const { return function_; }

 private:
  Worker(std::unique_ptr<packet::Pool> pool, std::unique_ptr<port::Port> port, ring::EventBell bell,
         std::uint64_t seed);

  void answer(Instant now);
  void sleep(Instant deadline);
  bool has_work(Instant deadline);

  // In this order: hosts go before their function, and all before the pool.
  std::unique_ptr<packet::Pool> pool_;
  std::unique_ptr<port::Port> port_;
  nic::Function function_;
  Rng rng_;
  std::optional<Host> host_;
  Service* service_ = nullptr;
  packet::Burst received_;
  tcp::Aggregator aggregator_;
  ring::EventBell bell_;
  ring::WakeFlag flag_;
  ring::Waiter<ring::SpinBudget> waiter_;
  std::atomic<bool> stopped_{false};
  std::atomic<bool> woken_{false};
  // Of ask().
  std::atomic<const std::function<void(Instant)>*> question_{nullptr};
  std::binary_semaphore answered_{0};
};

}  // namespace tideline::engine
