// SPDX-License-Identifier: Apache-2.0
// The addresses of a host's one interface: which are ours, which groups we are in, and from which
// of them to speak to somebody. RFC 1122 §3.3.6, RFC 4291 §2.8, RFC 6724 §5. A value: control
// builds a new one, the data path reads. Thread: the worker's that owns the host.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "wire/ip_address.h"

namespace tideline::ip {

enum class AddressState : std::uint8_t {
  kTentative,   // being tested for duplicates: neither received on nor sent from
  kPreferred,   //
  kDeprecated,  // received on, sent from only if nothing else fits
};

// What no packet on a wire is addressed to: 0/8 and 127/8, :: and ::1. RFC 1122 §3.2.1.3 (a), (b),
// (g), RFC 4291 §2.5.2, §2.5.3. IPv4 mapped.
constexpr bool is_never_on_a_wire(const wire::Ipv6Address& address) {
  if (address.high() != 0) return false;
  if (!address.is_mapped()) return address.low() <= 1;
  const wire::Ipv4Address ipv4 = address.mapped_ipv4();
  return ipv4.bytes()[0] == 0 || ipv4.is_loopback();
}

class Addresses {
 public:
  struct Ipv6Entry {
    wire::Ipv6Prefix prefix;
    AddressState state = AddressState::kPreferred;
  };

  // Adding what is there replaces it.
  void add(const wire::Ipv4Prefix& prefix);
  void add(const wire::Ipv6Prefix& prefix, AddressState state = AddressState::kPreferred);
  // Of an address that is there and past its test.
  void set_state(const wire::Ipv6Address& address, AddressState state);
  void remove(wire::Ipv4Address address);
  void remove(const wire::Ipv6Address& address);
  // All nodes, and the solicited-node groups of our addresses, are joined always.
  void join(wire::Ipv4Address group);
  void join(const wire::Ipv6Address& group);
  void leave(wire::Ipv4Address group);
  void leave(const wire::Ipv6Address& group);

  bool is_ours(wire::Ipv4Address address) const;
  // A tentative address is not ours yet.
  bool is_ours(const wire::Ipv6Address& address) const;
  bool is_tentative(const wire::Ipv6Address& address) const;
  // The limited broadcast, or that of a network we are in.
  bool is_broadcast(wire::Ipv4Address address) const;
  bool is_member(wire::Ipv4Address group) const;
  bool is_member(const wire::Ipv6Address& group) const;

  std::optional<wire::Ipv4Address> source_for(wire::Ipv4Address destination) const;
  std::optional<wire::Ipv6Address> source_for(const wire::Ipv6Address& destination) const;

  const std::vector<wire::Ipv4Prefix>& ipv4() const { return ipv4_; }
  const std::vector<Ipv6Entry>& ipv6() const { return ipv6_; }

 private:
  const Ipv6Entry* find(const wire::Ipv6Address& address) const;

  std::vector<wire::Ipv4Prefix> ipv4_;
  std::vector<Ipv6Entry> ipv6_;
  std::vector<wire::Ipv4Address> groups4_;
  std::vector<wire::Ipv6Address> groups6_;
};

}  // namespace tideline::ip
