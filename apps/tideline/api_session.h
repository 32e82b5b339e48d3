// SPDX-License-Identifier: Apache-2.0
// What the commands on streams share: an engine of the public API and its host, as the options say,
// woken by SIGINT and SIGTERM.
#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>

#include <tideline/engine.h>

#include "api/runtime.h"
#include "options.h"
#include "session.h"

namespace tideline::app {

// Set by SIGINT and SIGTERM, which wake an engine too.
class StopFlag {
 public:
  // `engine` may be null.
  explicit StopFlag(Engine* engine) : engine_(engine), on_signal_(*this) {}

  // Async-signal-safe.
  void stop() noexcept {
    stopped_.store(true, std::memory_order_relaxed);
    if (engine_ != nullptr) engine_->wake();
  }
  const std::atomic<bool>& stopped() const { return stopped_; }

 private:
  Engine* engine_;
  std::atomic<bool> stopped_{false};
  StopOnSignal on_signal_;
};

// As `tideline status` names a host.
inline control::Identity identity_of(const Host& host, const WireOptions& options) {
  control::Identity identity{.wire = options.wire, .addresses = host.ip4()};
  identity.addresses.insert(identity.addresses.end(), host.ip6().begin(), host.ip6().end());
  return identity;
}

class ApiSession {
 public:
  // Throws Failure, also if an address is taken.
  explicit ApiSession(const WireOptions& options)
      : engine_(value_or_throw(Engine::open({.wire = options.wire,
                                             .mtu = options.mtu,
                                             .impair = options.impair,
                                             .seed = options.seed,
                                             .capture = options.capture}))),
        host_(value_or_throw(engine_.add_host({.ip4 = options.ip4,
                                               .ip6 = options.ip6,
                                               .gateways = options.gateways,
                                               .mtu_probing = options.mtu_probing}))),
        stop_(&engine_),
        status_(api::Inside::runtime(engine_).worker(), nullptr, identity_of(host_, options)) {
    value_or_throw(host_.wait_until_ready(std::chrono::seconds(30)));
  }

  Engine& engine() { return engine_; }
  const Host& host() const { return host_; }
  const std::atomic<bool>& stopped() const { return stop_.stopped(); }
  // "on shm:default 198.18.0.1/24 2001:db8:18::1/64".
  std::string text(const WireOptions& options) const {
    std::string text = "on " + options.wire;
    for (const auto& address : host_.ip4()) text += " " + address;
    for (const auto& address : host_.ip6()) text += " " + address;
    return text;
  }

 private:
  Engine engine_;
  Host host_;
  StopFlag stop_;
  StatusOffer status_;
};

}  // namespace tideline::app
