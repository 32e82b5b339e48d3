// SPDX-License-Identifier: Apache-2.0
#include "engine/host.h"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace tideline::engine {

Host::Host(std::uint16_t mtu, nic::Function& function, packet::Pool& pool, Rng& rng)
    : function_(function), stack_({.mac = function.mac(), .mtu = mtu}, pool, rng, *this, *this) {}

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
  if (options.gateway4) stack_.routes4().add({.destination = {}, .gateway = options.gateway4});
  if (options.gateway6) stack_.routes6().add({.destination = {}, .gateway = options.gateway6});
  return {};
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
