// SPDX-License-Identifier: Apache-2.0
// ICMPv6 of a host: RFC 4443. Echoes are answered in the buffers in which they came; errors
// received go to the protocol that sent the quoted packet, errors sent are limited in rate and
// never answer what must not be answered. Neighbour discovery is passed on. Thread: the worker's
// that owns the host.
#pragma once

#include "ip/context.h"
#include "ip/delivery.h"
#include "ip/echo.h"
#include "ip/error_limiter.h"
#include "ip/mld.h"
#include "ip/ndp.h"
#include "ip/path_mtu.h"
#include "wire/icmpv6.h"

namespace tideline::ip {

class Icmpv6 final : public ProtocolHandler {
 public:
  Icmpv6(Context& context, Upcalls& upcalls, Sender& sender, PathMtuCache& paths,
         ErrorLimiter& limiter, EchoTable& echoes, Ndp& ndp, Mld& mld);

  void receive(packet::PacketPtr packet, const Datagram& datagram, Instant now) override;
  // Errors about our echo requests.
  bool recognises(const PathError& error) const override;
  void failed(const PathError& error, Instant now) override;

  // `request` holds the data. Names the handler's identifier.
  Sent ping(packet::PacketPtr request, const Departure& departure, std::uint16_t identifier,
            std::uint16_t sequence, Instant now);
  // Tells the sender of an IPv6 packet what is wrong with it.
  void report(const packet::Packet& offending, const wire::PacketLayout& layout,
              const Problem& problem, Instant now);

 private:
  bool check_checksum(const packet::Packet& packet, const Datagram& datagram);
  void receive_ndp(packet::PacketPtr packet, const Datagram& datagram, Instant now);
  void answer(packet::PacketPtr packet, const Datagram& datagram, Instant now);
  void replied(packet::PacketPtr packet, const Datagram& datagram, const wire::Icmpv6& icmpv6,
               Instant now);
  void error_received(const wire::Icmpv6& icmpv6, const Datagram& datagram, wire::Bytes message,
                      Instant now);
  bool may_report(const packet::Packet& offending, const wire::PacketLayout& layout,
                  const Problem& problem) const;

  Context& context_;
  Upcalls& upcalls_;
  Sender& sender_;
  PathMtuCache& paths_;
  ErrorLimiter& limiter_;
  EchoTable& echoes_;
  Ndp& ndp_;
  Mld& mld_;
};

}  // namespace tideline::ip
