// SPDX-License-Identifier: Apache-2.0
// One host's IP layer: all protocols of this room, joined. The engine gives it the frames of a NIC
// function and the time, and calls it again at next_deadline(). TCP and RDMA register as handlers
// of their protocol numbers. Thread: the worker's that owns the host.
#pragma once

#include <array>
#include <optional>

#include "ip/context.h"
#include "ip/delivery.h"
#include "ip/echo.h"
#include "ip/error_limiter.h"
#include "ip/fragmentation.h"
#include "ip/grh.h"
#include "ip/icmp.h"
#include "ip/icmpv6.h"
#include "ip/igmp.h"
#include "ip/ipv4.h"
#include "ip/ipv6.h"
#include "ip/mld.h"
#include "ip/path_mtu.h"
#include "ip/reassembly.h"
#include "ip/udp.h"

namespace tideline::ip {

struct StackOptions {
  wire::MacAddress mac;
  std::uint16_t mtu = 1500;  // at least 1280 (RFC 8200 §5)
  // IEEE 802.1Q: frames leave with this tag, and only those with it are heard; none: only those
  // without. The port must carry 4 bytes more than the MTU says.
  std::optional<std::uint16_t> vlan{};
  NdpOptions ndp{};
  NeighbourOptions arp{};
  AddressProbeOptions address_probe{};
  ReassemblyOptions reassembly{};
  PathMtuOptions path_mtu{};
  ErrorLimiterOptions errors{};
  bool group_reports = true;  // IGMP and MLD
};

class Stack final : public Sender, private Upcalls, private Reassembler::Owner {
 public:
  Stack(const StackOptions& options, packet::Pool& pool, Rng& rng, Output& output, Events& events);
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // Control. An address brings the route to its network along. It is tested for duplicates first,
  // unless that is certain, and told to Events when it is ready.
  Status add_address(const wire::Ipv4Prefix& prefix, Instant now,
                     Uniqueness uniqueness = Uniqueness::kToBeTested);
  Status add_address(const wire::Ipv6Prefix& prefix, Instant now,
                     Uniqueness uniqueness = Uniqueness::kToBeTested);
  // A default router, IPv4 mapped. Of several the first serves, until it does not answer; then
  // another (RFC 1122 §3.3.1.4). One that advertises itself serves if none of these answers.
  Status add_gateway(const wire::Ipv6Address& gateway, Instant now);
  // Lets IPv6 configure itself: a link-local address, and what routers advertise.
  void configure_ipv6(Instant now) { ipv6_.ndp().configure(now); }
  Ipv4Routes& routes4() { return context_.routes4; }
  Ipv6Routes& routes6() { return context_.routes6; }
  Addresses& addresses() { return context_.addresses; }
  // Groups, counted: a host leaves one when all who joined have left. Routers are told.
  Status join(const wire::Ipv6Address& group, Instant now);
  void leave(const wire::Ipv6Address& group, Instant now);
  // Gives a protocol number to a handler, or takes it away (null).
  void set_handler(std::uint8_t protocol, ProtocolHandler* handler);
  Udp& udp() { return udp_; }
  // RoCE v1, which has an EtherType of its own.
  Grh& grh() { return grh_; }

  // Data path. A frame whose layout is known (the NIC has parsed it), or not yet.
  void receive(packet::PacketPtr frame, const wire::PacketLayout& layout, Instant now);
  void receive(packet::PacketPtr frame, Instant now);
  Instant next_deadline() const;
  void run_timers(Instant now);

  // For the protocols above. IPv4 addresses are mapped. What is of protocol wire::kProtocolGrh has
  // a GRH in place of IP's header.
  Sent send(packet::PacketPtr packet, const Departure& departure, Instant now) override;
  bool prepare(const wire::Ipv6Address& destination, Instant now) override;
  // Nothing if we have no address for it, or no packet may go there.
  std::optional<wire::Ipv6Address> source_for(const wire::Ipv6Address& destination) const;
  PathMtu path_mtu(const wire::Ipv6Address& destination, Instant now) const;
  // Forward progress with a peer: its first hop is alive (RFC 4861 §7.3.1).
  void confirm(const wire::Ipv6Address& destination, Instant now);

  // Echo requests of ours. False if the identifier is taken.
  bool open_echo(std::uint16_t identifier, EchoHandler& handler) {
    return echoes_.open(identifier, handler);
  }
  void close_echo(std::uint16_t identifier) { echoes_.close(identifier); }
  Sent ping(packet::PacketPtr data, const wire::Ipv6Address& destination, std::uint16_t identifier,
            std::uint16_t sequence, Instant now);

  // For statistics and tests.
  const DropCounters& drops() const { return context_.drops; }
  // What those above drop of what they were given.
  void count(Discard reason) { context_.drops.count(reason); }
  const packet::PassCounter& passes() const { return context_.passes; }
  const Arp& arp() const { return ipv4_.arp(); }
  const Ndp& ndp() const { return ipv6_.ndp(); }
  const Igmp& igmp() const { return igmp_; }
  const Mld& mld() const { return mld_; }
  const Reassembler& reassembler() const { return reassembler_; }

 private:
  void deliver_loopback(Instant now);
  void deliver(packet::PacketPtr packet, const Datagram& datagram, Instant now) override;
  void report(const packet::Packet& offending, const wire::PacketLayout& layout,
              const Problem& problem, Instant now) override;
  bool recognises(const PathError& error) const override;
  void failed(const PathError& error, Instant now) override;
  void reassembly_timed_out(packet::PacketPtr frame, const wire::PacketLayout& layout,
                            Instant now) override;

  Context context_;
  Reassembler reassembler_;
  PathMtuCache paths_;
  IdentificationSource identifications_;
  ErrorLimiter limiter_;
  EchoTable echoes_;
  Igmp igmp_;
  Mld mld_;
  Ipv4 ipv4_;
  Ipv6 ipv6_;
  Icmp icmp_;
  Icmpv6 icmpv6_;
  Udp udp_;
  Grh grh_;
  std::array<ProtocolHandler*, 256> handlers4_{};
  std::array<ProtocolHandler*, 256> handlers6_{};
};

}  // namespace tideline::ip
