// SPDX-License-Identifier: Apache-2.0
#include "ip/stack.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ip/frame.h"
#include "wire/ethernet.h"
#include "wire/protocol.h"
#include "wire/roce.h"

namespace tideline::ip {

using packet::PacketPtr;
using wire::Ipv6Address;
using wire::PacketLayout;

namespace {

bool is_host_address(wire::Ipv4Address address) {
  return !address.is_unspecified() && !address.is_multicast() && !address.is_reserved() &&
         !address.is_loopback();
}

bool is_host_address(const Ipv6Address& address) {
  return !address.is_unspecified() && !address.is_multicast() && !address.is_loopback() &&
         !address.is_mapped();
}

template <typename Address>
Status check_address(const wire::Prefix<Address>& prefix) {
  if (is_host_address(prefix.address) && prefix.length <= Address::kBits) return {};
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("{} is no address that a host can have", prefix.to_text())});
}

// Whether a frame with these tags is of the network that the host is in.
bool is_of_our_vlan(const Context& context, std::size_t tags, std::uint16_t tci) {
  constexpr std::uint16_t kVlanId = 0x0fff;
  return context.vlan ? tags == 1 && (tci & kVlanId) == *context.vlan : tags == 0;
}

// The octet that names what a whole datagram carries: where a "next header unknown" points.
std::uint32_t next_header_at(const packet::Packet& packet, const PacketLayout& layout) {
  const wire::Bytes head = packet.first().bytes().subspan(layout.l3);
  std::uint32_t at = offsetof(wire::Ipv6Header, next_header);
  std::uint32_t header = sizeof(wire::Ipv6Header);
  while (layout.l3 + header < layout.l4) {
    at = header;
    const std::uint8_t length = std::to_integer<std::uint8_t>(head[header + 1]);
    const bool fragment = layout.l3 + header == layout.fragment_header;
    constexpr std::uint32_t kFragmentHeader = sizeof(wire::Ipv6FragmentHeader);
    header += fragment ? kFragmentHeader : (length + 1U) * 8U;
  }
  return at;
}

}  // namespace

Stack::Stack(const StackOptions& options, packet::Pool& pool, Rng& rng, Output& output,
             Events& events)
    : context_{.mac = options.mac,
               .mtu = options.mtu,
               .vlan = options.vlan,
               .pool = pool,
               .rng = rng,
               .output = output,
               .events = events},
      reassembler_(context_, options.reassembly, *this),
      paths_(options.path_mtu, options.mtu, rng),
      identifications_(rng),
      limiter_(options.errors, rng),
      igmp_(context_, options.group_reports),
      mld_(context_, options.group_reports),
      ipv4_(context_, *this, reassembler_, paths_, identifications_, options.arp,
            options.address_probe),
      ipv6_(context_, *this, reassembler_, paths_, identifications_, options.ndp, mld_.groups()),
      icmp_(context_, *this, *this, paths_, limiter_, echoes_, ipv4_.arp()),
      icmpv6_(context_, *this, *this, paths_, limiter_, echoes_, ipv6_.ndp(), mld_),
      udp_(context_, *this, *this),
      grh_(context_, ipv4_.arp(), ipv6_.ndp()) {
  CHECK(options.mtu >= wire::kIpv6MinimumMtu, "MTU {}", options.mtu);
  handlers4_[wire::kProtocolIcmp] = &icmp_;
  handlers4_[wire::kProtocolIgmp] = &igmp_;
  handlers6_[wire::kProtocolIcmpv6] = &icmpv6_;
  set_handler(wire::kProtocolUdp, &udp_);
}

Status Stack::add_address(const wire::Ipv4Prefix& prefix, Instant now, Uniqueness uniqueness) {
  if (const Status checked = check_address(prefix); !checked) return checked;
  context_.routes4.add({.destination = prefix});
  ipv4_.arp().add_address(prefix, uniqueness, now);
  return {};
}

Status Stack::add_address(const wire::Ipv6Prefix& prefix, Instant now, Uniqueness uniqueness) {
  if (const Status checked = check_address(prefix); !checked) return checked;
  context_.routes6.add({.destination = prefix});
  ipv6_.ndp().add_address(prefix, uniqueness, now);
  return {};
}

Status Stack::add_gateway(const Ipv6Address& gateway, Instant now) {
  const bool four = gateway.is_mapped();
  const bool host = four ? is_host_address(gateway.mapped_ipv4()) : is_host_address(gateway);
  const std::string text = four ? gateway.mapped_ipv4().to_text() : gateway.to_text();
  if (!host) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("{} is no address that a gateway can have", text)});
  }
  const bool added = four ? ipv4_.arp().first_hops().configure(gateway.mapped_ipv4(), now)
                          : ipv6_.ndp().first_hops().configure(gateway, now);
  if (added) return {};
  return fail({.kind = ErrorKind::kUsage,
               .what = fmt::format("gateway {} is one too many", text),
               .remedy = fmt::format("name {} of one IP version at most",
                                     FirstHops<Ipv6Address>::kMaxRouters)});
}

Status Stack::join(const Ipv6Address& group, Instant now) {
  const bool four = group.is_mapped();
  if (four ? !group.mapped_ipv4().is_multicast() : !group.is_multicast()) {
    return fail({.kind = ErrorKind::kUsage,
                 .what = fmt::format("{} is no multicast address", group.to_text())});
  }
  const bool joined =
      four ? igmp_.groups().join(group.mapped_ipv4(), now) : mld_.groups().join(group, now);
  if (joined) return {};
  return fail(
      {.kind = ErrorKind::kExhausted,
       .what = fmt::format("cannot join {}: the host is in too many groups", group.to_text())});
}

void Stack::leave(const Ipv6Address& group, Instant now) {
  if (group.is_mapped()) {
    igmp_.groups().leave(group.mapped_ipv4(), now);
  } else {
    mld_.groups().leave(group, now);
  }
}

void Stack::set_handler(std::uint8_t protocol, ProtocolHandler* handler) {
  handlers4_[protocol] = handler;
  handlers6_[protocol] = handler;
}

void Stack::receive(PacketPtr frame, Instant now) {
  gather_headers(*frame, context_);
  const auto layout = wire::parse_layout(frame->first().bytes(), frame->size(),
                                         {.accept_vlan = context_.vlan.has_value()});
  if (!layout) {
    context_.drops.count(layout.error().reason);
    const auto ethernet = wire::parse_ethernet(frame->first().bytes());
    if (!ethernet || !is_of_our_vlan(context_, ethernet->tag_count, ethernet->tags[0].tci)) return;
    ipv4_.refused(*frame, layout.error(), now);
    ipv6_.refused(*frame, layout.error(), now);
    return;
  }
  receive(std::move(frame), *layout, now);
}

void Stack::receive(PacketPtr frame, const PacketLayout& layout, Instant now) {
  if (!is_of_our_vlan(context_, layout.vlan_tags, layout.vlan_tci)) {
    context_.drops.count(Discard::kVlanOther);
    return;
  }
  switch (layout.ether_type) {
    case wire::kEtherTypeIpv4:
      ipv4_.receive(std::move(frame), layout, now);
      return;
    case wire::kEtherTypeIpv6:
      ipv6_.receive(std::move(frame), layout, now);
      return;
    case wire::kEtherTypeArp:
      ipv4_.arp().receive(std::move(frame), layout, now);
      return;
    case wire::kEtherTypeRoce:
      grh_.receive(std::move(frame), layout, now);
      return;
    default:
      context_.drops.count(Discard::kEtherType);
  }
}

Instant Stack::next_deadline() const {
  return std::min({context_.loopback.next_deadline(), ipv4_.arp().next_deadline(),
                   ipv6_.ndp().next_deadline(), igmp_.groups().next_deadline(),
                   mld_.groups().next_deadline(), reassembler_.next_deadline()});
}

void Stack::run_timers(Instant now) {
  deliver_loopback(now);
  ipv4_.arp().run_timers(now);
  igmp_.groups().run_timers(now);
  mld_.groups().run_timers(now);  // groups are joined before addresses in them are tested
  ipv6_.ndp().run_timers(now);
  reassembler_.run_timers(now);
}

// What they cause in turn waits for the next time, so that two handlers which answer each other do
// not keep us here.
void Stack::deliver_loopback(Instant now) {
  for (std::size_t left = context_.loopback.size(); left > 0; --left) {
    PacketPtr frame = context_.loopback.take();
    gather_headers(*frame, context_);
    const auto layout =
        wire::parse_layout(frame->first().bytes(), frame->size(), {.accept_vlan = true});
    if (!layout) {
      context_.drops.count(layout.error().reason);
    } else if (layout->ip_version == 4) {
      ipv4_.receive_own(std::move(frame), *layout, now);
    } else {
      ipv6_.receive_own(std::move(frame), *layout, now);
    }
  }
}

Sent Stack::send(PacketPtr packet, const Departure& departure, Instant now) {
  if (is_never_on_a_wire(departure.destination)) {
    return context_.drops.refuse(Discard::kDestinationNever);
  }
  if (departure.protocol == wire::kProtocolGrh) {
    return grh_.send(std::move(packet), departure, now);
  }
  if (departure.destination.is_mapped()) return ipv4_.send(std::move(packet), departure, now);
  return ipv6_.send(std::move(packet), departure, now);
}

bool Stack::prepare(const Ipv6Address& destination, Instant now) {
  return destination.is_mapped() ? ipv4_.prepare(destination.mapped_ipv4(), now)
                                 : ipv6_.prepare(destination, now);
}

std::optional<Ipv6Address> Stack::source_for(const Ipv6Address& destination) const {
  if (is_never_on_a_wire(destination)) return std::nullopt;
  if (!destination.is_mapped()) return context_.addresses.source_for(destination);
  const auto source = context_.addresses.source_for(destination.mapped_ipv4());
  if (!source) return std::nullopt;
  return Ipv6Address::mapped(*source);
}

PathMtu Stack::path_mtu(const Ipv6Address& destination, Instant now) const {
  return paths_.find(destination, now);
}

void Stack::confirm(const Ipv6Address& destination, Instant now) {
  if (destination.is_mapped()) {
    const auto hop = ipv4_.arp().next_hop(destination.mapped_ipv4(), now);
    if (hop) ipv4_.arp().neighbours().confirm(*hop, now);
  } else {
    const auto hop = ipv6_.ndp().next_hop(destination, now);
    if (hop) ipv6_.ndp().neighbours().confirm(*hop, now);
  }
}

Sent Stack::ping(PacketPtr data, const Ipv6Address& destination, std::uint16_t identifier,
                 std::uint16_t sequence, Instant now) {
  if (is_never_on_a_wire(destination)) return context_.drops.refuse(Discard::kDestinationNever);
  const auto source = source_for(destination);
  if (!source) return context_.drops.refuse(Discard::kNoSource);
  Departure departure{.source = *source, .destination = destination};
  if (destination.is_mapped()) {
    departure.protocol = wire::kProtocolIcmp;
    return icmp_.ping(std::move(data), departure, identifier, sequence, now);
  }
  departure.protocol = wire::kProtocolIcmpv6;
  return icmpv6_.ping(std::move(data), departure, identifier, sequence, now);
}

// RFC 1122 §3.2.2.1, RFC 8200 §4: an unknown protocol is reported.
void Stack::deliver(PacketPtr packet, const Datagram& datagram, Instant now) {
  const PacketLayout& layout = datagram.layout;
  const auto& handlers = layout.ip_version == 4 ? handlers4_ : handlers6_;
  if (ProtocolHandler* handler = handlers[layout.protocol]) {
    handler->receive(std::move(packet), datagram, now);
    return;
  }
  context_.drops.count(Discard::kProtocolUnknown);
  if (layout.protocol == wire::kProtocolNoNext) return;  // RFC 8200 §4.7
  Problem problem{.kind = Problem::Kind::kProtocolUnreachable};
  if (layout.ip_version == 6) problem.pointer = next_header_at(*packet, layout);
  report(*packet, layout, problem, now);
}

void Stack::report(const packet::Packet& offending, const PacketLayout& layout,
                   const Problem& problem, Instant now) {
  if (layout.ip_version == 4) {
    icmp_.report(offending, layout, problem, now);
  } else {
    icmpv6_.report(offending, layout, problem, now);
  }
}

bool Stack::recognises(const PathError& error) const {
  const auto& handlers = error.quote.destination.is_mapped() ? handlers4_ : handlers6_;
  const ProtocolHandler* handler = handlers[error.quote.protocol];
  return handler != nullptr && handler->recognises(error);
}

void Stack::failed(const PathError& error, Instant now) {
  const auto& handlers = error.quote.destination.is_mapped() ? handlers4_ : handlers6_;
  handlers[error.quote.protocol]->failed(error, now);
}

void Stack::reassembly_timed_out(PacketPtr frame, const PacketLayout& layout, Instant now) {
  report(*frame, layout, {.kind = Problem::Kind::kReassemblyTimeout}, now);
}

}  // namespace tideline::ip
