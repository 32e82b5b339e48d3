// SPDX-License-Identifier: Apache-2.0
// What the commands on a wire share: the wire opened, a worker on it, stopped by SIGINT, SIGTERM or
// the end of --duration.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "control/server.h"
#include "engine/attachment.h"
#include "engine/worker.h"
#include "failure.h"
#include "options.h"

namespace tideline::app {

// An address as the user writes it; IPv4 comes mapped.
wire::Ipv6Address parse_host(const std::string& text);

// While it lives, SIGINT and SIGTERM call `stop(loop)`, which is async-signal-safe. One at a time.
class StopOnSignal {
 public:
  template <typename Loop>
  explicit StopOnSignal(Loop& loop)
      : StopOnSignal(&loop, [](void* object) { static_cast<Loop*>(object)->stop(); }) {}
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;
  ~StopOnSignal();

 private:
  StopOnSignal(void* loop, void (*stop)(void*));
};

// Answers `tideline status` while it lives. A command works as well without: then it says so.
class StatusOffer {
 public:
  // They outlive it.
  StatusOffer(engine::Worker& worker, const rdma::Device* device, control::Identity identity);

 private:
  control::WorkerSubject subject_;
  std::unique_ptr<control::Server> server_;
};

// When --duration says to stop.
Instant end_of(const WireOptions& options);

class Session {
 public:
  // `all`: frames for other stations are wanted too.
  explicit Session(const WireOptions& options, bool all = false);

  engine::Worker& worker() { return *worker_; }
  packet::Pool& pool() { return worker_->pool(); }
  std::uint64_t seed() const { return wires_.seed(); }
  std::size_t mtu() const { return mtu_; }
  // As the user gave them; after add_host() with the addresses that were leased.
  const WireOptions& options() const { return options_; }
  std::uint64_t captured() const { return wires_.captured(); }

  // Gives the worker a host with the options' addresses.
  void add_host();
  // Until the task is done, or the user or --duration stops it; meanwhile its status can be asked
  // for. Then writes the capture out; throws
  // if another station has our address.
  void run(engine::Task& task);

 private:
  WireOptions options_;
  engine::WireOpener wires_;
  engine::Leases leases_;
  std::size_t mtu_ = 0;
  std::unique_ptr<engine::Worker> worker_;
  std::optional<StopOnSignal> stop_on_signal_;
};

}  // namespace tideline::app
