// SPDX-License-Identifier: Apache-2.0
// ICMP of a host: RFC 792, RFC 1122 §3.2.2. Echoes are answered in the buffers in which they came;
// errors received go to the protocol that sent the quoted packet, errors sent are limited in rate
// and never answer what must not be answered. Thread: the worker's that owns the host.
#pragma once

#include "ip/arp.h"
#include "ip/context.h"
#include "ip/delivery.h"
#include "ip/echo.h"
#include "ip/error_limiter.h"
#include "ip/path_mtu.h"
#include "wire/icmp.h"

namespace tideline::ip {

class Icmp final : public ProtocolHandler {
 public:
  Icmp(Context& context, Upcalls& upcalls, Sender& sender, PathMtuCache& paths,
       ErrorLimiter& limiter, EchoTable& echoes, Arp& arp);

  void receive(packet::PacketPtr packet, const Datagram& datagram, Instant now) override;
  // Errors about our echo requests.
  bool recognises(const PathError& error) const override;
  void failed(const PathError& error, Instant now) override;

  // `request` holds the data. Names the handler's identifier.
  Sent ping(packet::PacketPtr request, const Departure& departure, std::uint16_t identifier,
            std::uint16_t sequence, Instant now);
  // Tells the sender of an IPv4 packet what is wrong with it.
  void report(const packet::Packet& offending, const wire::PacketLayout& layout,
              const Problem& problem, Instant now);

 private:
  void answer(packet::PacketPtr packet, const Datagram& datagram, Instant now);
  void replied(packet::PacketPtr packet, const Datagram& datagram, const wire::Icmp& icmp,
               Instant now);
  void error_received(const wire::Icmp& icmp, const Datagram& datagram, wire::Bytes message,
                      Instant now);
  void redirected(const wire::Icmp& icmp, const Datagram& datagram, Instant now);
  bool may_report(const packet::Packet& offending, const wire::PacketLayout& layout) const;

  Context& context_;
  Upcalls& upcalls_;
  Sender& sender_;
  PathMtuCache& paths_;
  ErrorLimiter& limiter_;
  EchoTable& echoes_;
  Arp& arp_;
};

}  // namespace tideline::ip
