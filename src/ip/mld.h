// SPDX-License-Identifier: Apache-2.0
// MLD of a host, both versions: carries what membership.h hears and says. Thread: the worker's that
// owns the host.
#pragma once

#include "ip/context.h"
#include "ip/delivery.h"
#include "ip/membership.h"

namespace tideline::ip {

class Mld final : private GroupSpeaker<wire::Ipv6Address> {
 public:
  Mld(Context& context, bool reports) : context_(context), groups_(context, reports, *this) {}

  Membership<wire::Ipv6Address>& groups() { return groups_; }
  const Membership<wire::Ipv6Address>& groups() const { return groups_; }

  // An ICMPv6 message of a type for which wire::is_mld_type holds, its checksum verified.
  void receive(const packet::Packet& packet, const Datagram& datagram, Instant now);

 private:
  void say(std::span<const wire::GroupRecord<wire::Ipv6Address>> records, Instant now) override;
  void say(const wire::GroupReport<wire::Ipv6Address>& report, Instant now) override;
  template <typename Message>
  void send(const Message& message, std::size_t room, const wire::Ipv6Address& to, Instant now);

  Context& context_;
  Membership<wire::Ipv6Address> groups_;
};

}  // namespace tideline::ip
