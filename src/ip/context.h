// SPDX-License-Identifier: Apache-2.0
// What the parts of one host's IP layer share, and the two interfaces through which the host meets
// the world: frames go out, events are told. Thread: the worker's that owns the host.
#pragma once

#include <cstdint>
#include <optional>

#include "base/random.h"
#include "base/time.h"
#include "ip/addresses.h"
#include "ip/discard.h"
#include "ip/loopback.h"
#include "ip/routes.h"
#include "packet/packet.h"
#include "packet/pass_counter.h"
#include "packet/pool.h"
#include "wire/mac_address.h"

namespace tideline::ip {

// Takes whole Ethernet frames. Offload metadata says what is left to do to them.
class Output {
 public:
  virtual void transmit(packet::PacketPtr frame, Instant now) = 0;

 protected:
  ~Output() = default;
};

// What a host's owner may want to know; IPv4 addresses come mapped.
class Events {
 public:
  // Another station uses our address: RFC 5227 §2.4, RFC 4862 §5.4.5. An IPv6 address that was
  // still being tested has been removed.
  virtual void address_conflict(const wire::Ipv6Address& /*address*/,
                                const wire::MacAddress& /*other*/, Instant /*now*/) {}
  // The address serves: nobody else has it. Those that IPv6 has formed itself are told too.
  virtual void address_ready(const wire::Ipv6Address& /*address*/, Instant /*now*/) {}

 protected:
  ~Events() = default;
};

struct Context {
  wire::MacAddress mac;
  std::uint16_t mtu;                  // the largest IP packet that the link carries
  std::optional<std::uint16_t> vlan;  // the one that this host is in; none: untagged
  packet::Pool& pool;
  Rng& rng;
  Output& output;
  Events& events;

  Addresses addresses{};
  Ipv4Routes routes4{};
  Ipv6Routes routes6{};
  LoopbackQueue loopback{};
  DropCounters drops{};
  packet::PassCounter passes{};
};

}  // namespace tideline::ip
