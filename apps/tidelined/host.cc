// SPDX-License-Identifier: Apache-2.0
#include "host.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/prctl.h>

#include <chrono>
#include <utility>
#include <vector>

#include "base/thread.h"
#include "log.h"

namespace tideline::daemon {
namespace {

constexpr std::size_t kStack = std::size_t{1} << 20;
// How often the addresses' tests for duplicates are looked at, and afterwards whether somebody else
// has come to use one.
constexpr Duration kReadyInterval = std::chrono::milliseconds(5);
constexpr Duration kConflictInterval = std::chrono::seconds(10);

std::vector<std::string> texts_of(const engine::HostOptions& options) {
  std::vector<std::string> all;
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
  return worker_->add_host(options_);
}

HostRunner::~HostRunner() {
  // It asks the worker, so it goes first.
  status_.reset();
  if (started_) {
    worker_->stop();
    ::pthread_join(thread_, nullptr);
    worker_->pool().adopt();
  }
  worker_.reset();
  if (const Status written = wires_.flush(); !written) {
    spdlog::error("host {}: {}", name(), written.error().message());
  }
}

Status HostRunner::start(const ring::EventBell& news, const std::string& front_end,
                         control::FrontEndServer server) {
  news_ = &news;
  worker_->pool().disown();
  const auto thread = start_quiet_thread(&HostRunner::main, this, kStack, "a host's thread");
  if (!thread) {
    worker_->pool().adopt();
    return fail(thread.error());
  }
  thread_ = *thread;
  started_ = true;
  subject_.emplace(*worker_);
  auto status = control::Server::start(
      *subject_,
      {.wire = wire(), .addresses = texts_of(options_), .front_end = front_end, .host = name()},
      std::move(server));
  if (!status) return fail(std::move(status.error()));
  status_ = std::move(*status);
  return {};
}

void* HostRunner::main(void* host) {
  auto& self = *static_cast<HostRunner*>(host);
  ::prctl(PR_SET_NAME, self.name().substr(0, 15).c_str());
  self.worker_->pool().adopt();
  self.worker_->run(self);
  self.worker_->pool().disown();
  return nullptr;
}

void HostRunner::run_timers(Instant now) {
  const engine::Host& host = *worker_->host();
  const State before = state();
  due_ = now + (before == State::kStarting ? kReadyInterval : kConflictInterval);
  State after = host.is_ready() ? State::kReady : before;
  if (host.conflict()) {
    if (before != State::kConflict) conflict_ = *host.conflict();
    after = State::kConflict;
    due_ = kNever;
  }
  if (after == before) return;
  state_.store(after, std::memory_order_release);
  news_->ring();
}

std::string HostRunner::addresses() const {
  return fmt::format("{}", fmt::join(texts_of(options_), " "));
}

}  // namespace tideline::daemon
