// SPDX-License-Identifier: Apache-2.0
// IGMP of a host, all three versions: carries what membership.h hears and says. Thread: the
// worker's that owns the host.
#pragma once

#include "ip/context.h"
#include "ip/delivery.h"
#include "ip/membership.h"

namespace tideline::ip {

class Igmp final : public ProtocolHandler, private GroupSpeaker<wire::Ipv4Address> {
 public:
  Igmp(Context& context, bool reports) : context_(context), groups_(context, reports, *this) {}

  Membership<wire::Ipv4Address>& groups() { return groups_; }
  const Membership<wire::Ipv4Address>& groups() const { return groups_; }

  void receive(packet::PacketPtr packet, const Datagram& datagram, Instant now) override;
  bool recognises(const PathError& /*error*/) const override { return false; }
  void failed(const PathError& /*error*/, Instant /*now*/) override {}

 private:
  void say(std::span<const wire::GroupRecord<wire::Ipv4Address>> records, Instant now) override;
  void say(const wire::GroupReport<wire::Ipv4Address>& report, Instant now) override;
  template <typename Message>
  void send(const Message& message, std::size_t room, wire::Ipv4Address to, Instant now);

  Context& context_;
  Membership<wire::Ipv4Address> groups_;
};

}  // namespace tideline::ip
