// SPDX-License-Identifier: Apache-2.0
#include "engine/host.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "wire/protocol.h"

namespace tideline::engine {
namespace {

tcp::Config tcp_config(const HostOptions& options) {
  tcp::Config config = options.tcp;
  config.max_connections = options.max_connections;
  config.max_ranges = std::max<std::size_t>(65536, 2 * options.max_connections);
  config.max_time_wait = options.max_connections / 2;
  config.max_receive_buffer = options.max_receive_buffer;
  const ssize_t size = ::getrandom(config.secrets.data(), sizeof(config.secrets), 0);
  CHECK(size == static_cast<ssize_t>(sizeof(config.secrets)), "getrandom gave {}", size);
  return config;
}

}  // namespace

Host::Host(const HostOptions& options, nic::Function& function, packet::Pool& pool, Rng& rng)
    : function_(function),
      network_(stack_, function.capabilities().tso4, function.capabilities().tso6),
      tcp_(tcp_config(options), network_, pool, rng),
      stack_({.mac = function.mac(), .mtu = options.mtu}, pool, rng, *this, *this) {
  stack_.set_handler(wire::kProtocolTcp, &tcp_);
}

Status Host::configure(const HostOptions& options, Instant now) {
  const auto uniqueness =
      options.leased_addresses ? ip::Uniqueness::kCertain : ip::Uniqueness::kToBeTested;
  for (const wire::Ipv4Prefix& prefix : options.ipv4) {
    const wire::Ipv6Address address = wire::Ipv6Address::mapped(prefix.address);
    if (Status s = function_.claim(address); !s) return s;
    pending_.push_back(address);
    if (Status s = stack_.add_address(prefix, now, uniqueness); !s) return s;
  }
  for (const wire::Ipv6Prefix& prefix : options.ipv6) {
    if (Status s = function_.claim(prefix.address); !s) return s;
    pending_.push_back(prefix.address);
    if (Status s = stack_.add_address(prefix, now, uniqueness); !s) return s;
  }
  if (options.configure_ipv6 && !options.ipv6.empty()) stack_.configure_ipv6(now);
  for (const wire::Ipv4Address& gateway : options.gateways4) {
    if (Status s = stack_.add_gateway(wire::Ipv6Address::mapped(gateway), now); !s) return s;
  }
  for (const wire::Ipv6Address& gateway : options.gateways6) {
    if (Status s = stack_.add_gateway(gateway, now); !s) return s;
  }
  return {};
}

Instant Host::next_deadline() const {
  return std::min(stack_.next_deadline(), tcp_.next_deadline());
}

void Host::run_timers(Instant now) {
  if (stack_.next_deadline() <= now) stack_.run_timers(now);
  tcp_.run_timers(now);
}

void Host::transmit(packet::PacketPtr frame, Instant now) {
  function_.transmit(std::move(frame), now);
}

void Host::address_ready(const wire::Ipv6Address& address, Instant /*now*/) {
  std::erase(pending_, address);
}

void Host::address_conflict(const wire::Ipv6Address& address, const wire::MacAddress& other,
                            Instant /*now*/) {
  const std::string text =
      address.is_mapped() ? address.mapped_ipv4().to_text() : address.to_text();
  conflict_ = {.kind = ErrorKind::kEnvironment,
               .what = fmt::format("address {} is used by {} too", text, other.to_text()),
               .remedy = "give this host an address of its own"};
}

}  // namespace tideline::engine
