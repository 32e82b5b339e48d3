// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

#include "base/clock.h"

namespace tideline::app {
namespace {

std::atomic<void*> stop_object{nullptr};
std::atomic<void (*)(void*)> stop_function{nullptr};

extern "C" void stop_loop(int /*signal*/) {
  const int saved = errno;
  if (void* object = stop_object.load(); object != nullptr) stop_function.load()(object);
  errno = saved;
}

// Ends with its worker; stops it when the time has come.
class Limited final : public engine::Task {
 public:
  Limited(engine::Task& inner, Instant end) : inner_(inner), end_(end) {}

  Instant next_deadline() const override { return std::min(inner_.next_deadline(), end_); }
  void run_timers(Instant now) override {
    over_ = now >= end_;
    if (inner_.next_deadline() <= now) inner_.run_timers(now);
  }
  bool is_done() const override { return over_ || inner_.is_done(); }

 private:
  engine::Task& inner_;
  Instant end_;
  bool over_ = false;
};

}  // namespace

wire::Ipv6Address parse_host(const std::string& text) {
  using wire::Ipv6Address;
  if (text.find(':') != std::string::npos) return value_or_throw(Ipv6Address::from_text(text));
  return Ipv6Address::mapped(value_or_throw(wire::Ipv4Address::from_text(text)));
}

StopOnSignal::StopOnSignal(void* loop, void (*stop)(void*)) {
  stop_function = stop;
  stop_object = loop;
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, stop_loop);
}

StopOnSignal::~StopOnSignal() {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, SIG_DFL);
  stop_object = nullptr;
}

StatusOffer::StatusOffer(engine::Worker& worker, const rdma::Device* device,
                         control::Identity identity)
    : subject_(worker, device) {
  auto server = control::Server::start(subject_, std::move(identity));
  if (server) {
    server_ = std::move(*server);
  } else {
    fmt::print(stderr, "tideline: status cannot be asked for: {}\n", server.error().message());
  }
}

Instant end_of(const WireOptions& options) {
  if (options.duration == 0) return kNever;
  return monotonic_now() +
         std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options.duration));
}

Session::Session(const WireOptions& options, bool all) : options_(options), wires_(options) {
  auto pool = value_or_throw(packet::Pool::create({.segments = 8192, .loans = 2048}));
  auto port = value_or_throw(wires_.open(options.wire, *pool, all, leases_));
  mtu_ = options.mtu == 0 ? port->info().mtu : options.mtu;
  worker_ = value_or_throw(
      engine::Worker::create(std::move(pool), std::move(port), engine::random_seed()));
  stop_on_signal_.emplace(*worker_);
}

void Session::add_host() {
  const engine::HostOptions host = value_or_throw(host_options(options_, leases_, mtu_));
  if (!leases_.empty() && !options_.json) {
    fmt::print("{} leased on {}\n", leases_.text(), options_.wire);
  }
  for (const auto& prefix : leases_.ipv4) options_.ip4.push_back(prefix.to_text());
  for (const auto& prefix : leases_.ipv6) options_.ip6.push_back(prefix.to_text());
  value_or_throw(worker_->add_host(host));
}

void Session::run(engine::Task& task) {
  Limited limited(task, end_of(options_));
  {
    control::Identity identity{.wire = options_.wire, .addresses = options_.ip4};
    identity.addresses.insert(identity.addresses.end(), options_.ip6.begin(), options_.ip6.end());
    const StatusOffer status(*worker_, nullptr, std::move(identity));
    worker_->run(limited);
  }
  value_or_throw(wires_.flush());
  const engine::Host* host = worker_->host();
  if (host == nullptr) return;
  if (const auto& conflict = host->conflict()) throw Failure(*conflict);
}

}  // namespace tideline::app
