// SPDX-License-Identifier: Apache-2.0
// Neighbour discovery for hosts: RFC 4861 §7.2, and duplicate address detection, RFC 4862 §5.4.
// What routers say goes to routers.h and slaac.h, once the host has been told to configure itself.
// Options of RFC 8106 (DNS) are nobody's here, and ignored. Thread: the worker's that owns the
// host.
#pragma once

#include <optional>
#include <vector>

#include "ip/arp.h"
#include "ip/context.h"
#include "ip/membership.h"
#include "ip/neighbour.h"
#include "ip/path_mtu.h"
#include "ip/routers.h"
#include "ip/slaac.h"
#include "wire/ndp.h"

namespace tideline::ip {

struct NdpOptions {
  NeighbourOptions neighbours{};
  unsigned duplicate_probes = 1;           // RFC 4862 §5.1; 0: addresses are ours at once
  std::optional<HashKey> stable_secret{};  // of the addresses that slaac.h forms
};

class Ndp final : private Solicitor<wire::Ipv6Address>, private Slaac::Owner {
 public:
  Ndp(Context& context, const NdpOptions& options, Carrier& carrier, PathMtuCache& paths,
      Membership<wire::Ipv6Address>& groups);

  // An ICMPv6 message of a type for which wire::is_ndp_type holds, its checksum verified.
  void receive(wire::Bytes message, const wire::NdpCarrier& carrier, Instant now);

  // Gives the host an address, after making sure that nobody on the link has it.
  void add_address(const wire::Ipv6Prefix& prefix, Uniqueness uniqueness, Instant now);
  // Forms a link-local address; when that is ours, asks for routers and does as they advertise.
  void configure(Instant now);

  std::optional<wire::Ipv6Address> next_hop(const wire::Ipv6Address& destination,
                                            Instant now) const {
    return routers_.first_hops().next_hop(destination, now);
  }

  NeighbourTable<wire::Ipv6Address>& neighbours() { return neighbours_; }
  const NeighbourTable<wire::Ipv6Address>& neighbours() const { return neighbours_; }
  FirstHops<wire::Ipv6Address>& first_hops() { return routers_.first_hops(); }
  const FirstHops<wire::Ipv6Address>& first_hops() const { return routers_.first_hops(); }
  const Slaac& slaac() const { return slaac_; }
  Instant next_deadline() const;
  void run_timers(Instant now);

 private:
  struct Tentative {
    wire::Ipv6Prefix prefix;
    unsigned probes_left;
    Instant deadline;
  };

  void solicit(const wire::Ipv6Address& target, const std::optional<wire::MacAddress>& known,
               const packet::Packet* waiting, Instant now) override;
  void silent(const wire::Ipv6Address& target, Instant now) override;
  void heard(const wire::Ipv6Address& neighbour, const std::optional<wire::MacAddress>& mac,
             Instant now);
  void solicited(const wire::NeighbourSolicitation& message, const wire::NdpCarrier& carrier,
                 Instant now);
  void advertised(const wire::NeighbourAdvertisement& message, Instant now);
  void router_advertised(const wire::RouterAdvertisement& message, const wire::NdpCarrier& carrier,
                         Instant now);
  void redirected(const wire::Redirect& message, const wire::NdpCarrier& carrier, Instant now);
  void form_address(const wire::Ipv6Prefix& prefix, Instant now) override;
  void give_up_address(const wire::Ipv6Address& address, Instant now) override;
  void test_addresses(Instant now);
  void serve(const wire::Ipv6Prefix& prefix, Instant now);
  void duplicate_found(const wire::Ipv6Address& address,
                       const std::optional<wire::MacAddress>& other, Instant now);
  void send(const wire::Ndp& message, const wire::Ipv6Address& source,
            const wire::Ipv6Address& destination, const std::optional<wire::MacAddress>& to,
            Instant now);

  Context& context_;
  NdpOptions options_;
  NeighbourTable<wire::Ipv6Address> neighbours_;
  std::vector<Tentative> tentative_;
  PathMtuCache& paths_;
  Membership<wire::Ipv6Address>& groups_;
  Routers routers_;
  Slaac slaac_;
  bool configures_ = false;
};

}  // namespace tideline::ip
