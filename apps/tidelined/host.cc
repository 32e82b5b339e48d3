// SPDX-License-Identifier: Apache-2.0
#include "host.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/prctl.h>

#include <chrono>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/fault_handler.h"
#include "base/thread.h"
#include "log.h"

namespace tideline::daemon {
namespace {

constexpr std::size_t kStack = std::size_t{1} << 20;
// How often the addresses' tests for duplicates are looked at, and afterwards whether somebody else
// has come to use one.
constexpr Duration kReadyInterval = std::chrono::milliseconds(5);
constexpr Duration kConflictInterval = std::chrono::seconds(10);
// How often it is asked whether all that programs have written has been sent.
constexpr Duration kIdleInterval = std::chrono::milliseconds(2);
// Of who tells the worker to stop.
constexpr Duration kPatience = std::chrono::seconds(1);
// On ends of programs, in a second.
constexpr unsigned kMostLines = 20;

std::vector<std::string> texts_of(const engine::HostOptions& options) {
  std::vector<std::string> all;
  all.reserve(options.ipv4.size() + options.ipv6.size());
  for (const auto& prefix : options.ipv4) all.push_back(prefix.to_text());
  for (const auto& prefix : options.ipv6) all.push_back(prefix.to_text());
  return all;
}

}  // namespace

Result<std::unique_ptr<HostRunner>> HostRunner::open(const HostConfig& config) {
  std::unique_ptr<HostRunner> host(new HostRunner(config));
  if (Status s = host->attach(); !s) {
    Error error = std::move(s.error());
    error.what =
        fmt::format("the host '{}' on {}: {}", config.name, config.attachment.wire, error.what);
    return fail(std::move(error));
  }
  return host;
}

Status HostRunner::attach() {
  const engine::AttachmentOptions& attachment = config_.attachment;
  auto pool = packet::Pool::create({.segments = 16384, .loans = 8192});
  if (!pool) return fail(std::move(pool.error()));
  engine::Leases leases;
  auto port = wires_.open(attachment.wire, **pool, false, leases);
  if (!port) return fail(std::move(port.error()));
  const std::size_t mtu = attachment.mtu == 0 ? (*port)->info().mtu : attachment.mtu;
  auto options = engine::host_options(attachment, leases, mtu);
  if (!options) return fail(std::move(options.error()));
  options_ = std::move(*options);
  options_.max_connections = config_.connections;
  auto worker = engine::Worker::create(std::move(*pool), std::move(*port), engine::random_seed());
  if (!worker) return fail(std::move(worker.error()));
  worker_ = std::move(*worker);
  // The GID at index 0; an address of the host like the others.
  const wire::Ipv6Address link_local(0xfe80000000000000,
                                     engine::eui64_of(worker_->function().mac()));
  engine::HostOptions whole = options_;
  whole.ipv6.insert(whole.ipv6.begin(), {.address = link_local, .length = 64});
  if (Status s = worker_->add_host(whole); !s) return s;
  add_device(whole);
  return {};
}

void HostRunner::add_device(const engine::HostOptions& host) {
  rng_ = Rng(engine::random_seed());
  device_.emplace(engine::device_options(host, worker_->function().mac()), worker_->host()->stack(),
                  worker_->pool(), rng_, keys_);
  engine::fill_gids(device_->gids(), host);
  engine::join(*device_, *worker_);
}

HostRunner::~HostRunner() {
  // It asks the worker, so it goes first.
  status_.reset();
  if (started_) {
    worker_->stop();
    ::pthread_join(thread_, nullptr);
    worker_->pool().adopt();
  }
  if (server_) server_->leave_rdma();
  device_.reset();
  if (worker_) worker_->set_service(nullptr);
  worker_.reset();
  if (const Status written = wires_.flush(); !written) {
    spdlog::error("host {}: {}", name(), written.error().message());
  }
}

Status HostRunner::serve(UniqueFd listening, engine::QueueServer::Policy policy) {
  auto server = engine::QueueServer::create(*worker_, std::move(listening), std::move(policy));
  if (!server) return fail(std::move(server.error()));
  server_ = std::move(*server);
  if (Status s = install_fault_handlers(); !s) return s;
  server_->serve_rdma(*device_);
  server_->set_log([this](const engine::ClientInfo& client, engine::EndReason reason) {
    log_end(client, reason);
  });
  worker_->set_service(server_.get());
  return {};
}

Status HostRunner::start(const ring::EventBell& news, UniqueFd listening,
                         engine::QueueServer::Policy policy, const std::string& front_end,
                         control::FrontEndServer control) {
  news_ = &news;
  if (Status s = serve(std::move(listening), std::move(policy)); !s) return s;
  worker_->pool().disown();
  const auto thread = start_quiet_thread(&HostRunner::main, this, kStack, "a host's thread");
  if (!thread) {
    worker_->pool().adopt();
    return fail(thread.error());
  }
  thread_ = *thread;
  started_ = true;
  subject_.emplace(*worker_, &*device_, server_.get());
  auto status = control::Server::start(
      *subject_,
      {.wire = wire(), .addresses = texts_of(options_), .front_end = front_end, .host = name()},
      std::move(control));
  if (!status) return fail(std::move(status.error()));
  status_ = std::move(*status);
  return {};
}

void* HostRunner::main(void* host) {
  auto& self = *static_cast<HostRunner*>(host);
  unblock_fault_signals();  // of programs' memory that has gone
  ::prctl(PR_SET_NAME, self.name().substr(0, 15).c_str());
  self.worker_->pool().adopt();
  self.worker_->run(self);
  self.worker_->pool().disown();
  return nullptr;
}

void HostRunner::run_timers(Instant now) {
  const State before = state();
  if (before >= State::kStopping) {
    due_ = now + kIdleInterval;
    if (!server_->is_idle()) return;
    due_ = kNever;
    become(State::kStopped);
    return;
  }
  const engine::Host& host = *worker_->host();
  due_ = now + (before == State::kStarting ? kReadyInterval : kConflictInterval);
  State after = host.is_ready() ? State::kReady : before;
  if (host.conflict()) {
    if (before != State::kConflict) conflict_ = *host.conflict();
    if (before == State::kReady) spdlog::error("host {}: {}", name(), conflict_.message());
    after = State::kConflict;
    due_ = kNever;
  }
  if (after != before) become(after);
}

void HostRunner::become(State state) {
  state_.store(state, std::memory_order_release);
  news_->ring();
}

void HostRunner::begin_to_stop() {
  // Whoever asks the worker must be the only one.
  status_.reset();
  const auto tell = [this](Instant now) {
    server_->stop_accepting();
    server_->end_all(now);
    due_ = now;
    become(State::kStopping);
  };
  if (!started_ || !worker_->ask(tell, kPatience)) {
    state_.store(State::kStopped, std::memory_order_release);
  }
}

// A program that breaks rules can do it as often as it likes; the disk must not be full of it.
void HostRunner::log_end(const engine::ClientInfo& client, engine::EndReason reason) {
  const bool usual = reason == engine::EndReason::kClosed || reason == engine::EndReason::kStopped;
  const auto level = usual ? spdlog::level::debug : spdlog::level::warn;
  if (!spdlog::should_log(level)) return;
  const Instant now = monotonic_now();
  if (now - second_ >= std::chrono::seconds(1)) {
    if (lines_ > kMostLines) {
      spdlog::warn("host {}: and {} more programs", name(), lines_ - kMostLines);
    }
    second_ = now;
    lines_ = 0;
  }
  if (++lines_ > kMostLines) return;
  spdlog::log(level, "host {}: {} (process {}) of user {}: {}", name(), client.program, client.pid,
              client.uid, engine::name_of(reason));
}

std::string HostRunner::addresses() const {
  return fmt::format("{}", fmt::join(texts_of(options_), " "));
}

}  // namespace tideline::daemon
