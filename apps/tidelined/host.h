// SPDX-License-Identifier: Apache-2.0
// One [[host]] of a front end: its wire, a worker on it, and the thread that drives the worker.
// Thread: the daemon's, but for what is told otherwise.
#pragma once

#include <pthread.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/fd.h"
#include "config.h"
#include "control/server.h"
#include "control/subject.h"
#include "engine/attachment.h"
#include "engine/queue_server.h"
#include "engine/rdma_service.h"
#include "engine/worker.h"
#include "rdma/device.h"
#include "ring/bell.h"

namespace tideline::daemon {

class HostRunner final : private engine::Task {
 public:
  enum class State : std::uint8_t { kStarting, kReady, kConflict, kStopping, kStopped };

  // Opens the wire, and gives the host its addresses. No thread yet.
  static Result<std::unique_ptr<HostRunner>> open(const HostConfig& config);
  // Ends the thread, closes the wire, and writes the capture out.
  ~HostRunner();

  // Drives the host from now on, serves the programs that attach at `listening`, and answers who
  // asks in the front end's directory what it does. `news` rings when the state changes; it
  // outlives the host.
  Status start(const ring::EventBell& news, UniqueFd listening, engine::QueueServer::Policy policy,
               const std::string& front_end, control::FrontEndServer server);
  // Programs are told that it ends, and what they have written is sent on: kStopping, then
  // kStopped.
  void begin_to_stop();
  // Any thread.
  State state() const { return state_.load(std::memory_order_acquire); }
  // Who has our address, at kConflict.
  const Error& conflict() const { return conflict_; }

  const std::string& name() const { return config_.name; }
  const std::string& wire() const { return config_.attachment.wire; }
  // "198.18.0.1/24 2001:db8:18::1/64".
  std::string addresses() const;

 private:
  explicit HostRunner(const HostConfig& config) : config_(config), wires_(config.attachment) {}

  Status attach();
  void add_device(const engine::HostOptions& host);
  static void* main(void* host);
  Status serve(UniqueFd listening, engine::QueueServer::Policy policy);
  void log_end(const engine::ClientInfo& client, engine::EndReason reason);
  void become(State state);
  // engine::Task, on the thread.
  Instant next_deadline() const override { return due_; }
  void run_timers(Instant now) override;
  bool is_done() const override { return false; }

  HostConfig config_;
  engine::WireOpener wires_;
  engine::HostOptions options_;
  engine::RandomKeys keys_;
  Rng rng_{0};
  std::unique_ptr<engine::QueueServer> server_;  // frames of the worker's borrow from it
  std::unique_ptr<engine::Worker> worker_;
  std::optional<rdma::Device> device_;
  std::optional<control::WorkerSubject> subject_;
  std::unique_ptr<control::Server> status_;
  const ring::EventBell* news_ = nullptr;
  pthread_t thread_{};
  bool started_ = false;
  Instant due_{};  // at once
  Error conflict_;
  // Of the log, on the thread.
  Instant second_{};
  unsigned lines_ = 0;
  std::atomic<State> state_{State::kStarting};
};

}  // namespace tideline::daemon
