// SPDX-License-Identifier: Apache-2.0
// Neighbour discovery for hosts: RFC 4861 §7.2, and duplicate address detection, RFC 4862 §5.4.
// Routers and redirects are not listened to: routes come from configuration. Thread: the worker's
// that owns the host.
#pragma once

#include <optional>
#include <vector>

#include "ip/context.h"
#include "ip/neighbour.h"
#include "wire/ndp.h"

namespace tideline::ip {

struct NdpOptions {
  NeighbourOptions neighbours{};
  unsigned duplicate_probes = 1;  // RFC 4862 §5.1; 0: addresses are ours at once
};

class Ndp final : private Solicitor<wire::Ipv6Address> {
 public:
  Ndp(Context& context, const NdpOptions& options, Carrier& carrier);

  // An ICMPv6 message of a type for which wire::is_ndp_type holds, its checksum verified.
  void receive(wire::Bytes message, const wire::NdpCarrier& carrier, Instant now);

  // Gives the host an address, after making sure that nobody on the link has it.
  void add_address(const wire::Ipv6Prefix& prefix, Instant now);

  NeighbourTable<wire::Ipv6Address>& neighbours() { return neighbours_; }
  const NeighbourTable<wire::Ipv6Address>& neighbours() const { return neighbours_; }
  Instant next_deadline() const;
  void run_timers(Instant now);

 private:
  struct Tentative {
    wire::Ipv6Prefix prefix;
    unsigned probes_left;
    Instant deadline;
  };

  void solicit(const wire::Ipv6Address& target, const std::optional<wire::MacAddress>& known,
               Instant now) override;
  void solicited(const wire::NeighbourSolicitation& message, const wire::NdpCarrier& carrier,
                 Instant now);
  void advertised(const wire::NeighbourAdvertisement& message, Instant now);
  void duplicate_found(const wire::Ipv6Address& address,
                       const std::optional<wire::MacAddress>& other, Instant now);
  void send(const wire::Ndp& message, const wire::Ipv6Address& source,
            const wire::Ipv6Address& destination, const std::optional<wire::MacAddress>& to,
            Instant now);

  Context& context_;
  NdpOptions options_;
  NeighbourTable<wire::Ipv6Address> neighbours_;
  std::vector<Tentative> tentative_;
};

}  // namespace tideline::ip
