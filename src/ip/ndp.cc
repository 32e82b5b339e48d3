// SPDX-License-Identifier: Apache-2.0
#include "ip/ndp.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "ip/frame.h"
#include "wire/checksum.h"
#include "wire/ethernet.h"
#include "wire/icmpv6.h"
#include "wire/ipv6.h"
#include "wire/protocol.h"

namespace tideline::ip {

using packet::PacketPtr;
using wire::Ipv6Address;
using wire::MacAddress;
using wire::NdpCarrier;

namespace {

// RFC 4861 §10, MAX_RTR_SOLICITATION_DELAY: hosts that start together do not ask together.
constexpr Duration kMaxFirstDelay = std::chrono::seconds(1);

}  // namespace

Ndp::Ndp(Context& context, const NdpOptions& options, Carrier& carrier, PathMtuCache& paths,
         Membership<Ipv6Address>& groups)
    : context_(context),
      options_(options),
      neighbours_(options.neighbours, *this, carrier, context.drops, context.rng),
      paths_(paths),
      groups_(groups),
      routers_(context, neighbours_),
      slaac_(context, options.stable_secret, *this) {}

void Ndp::receive(wire::Bytes message, const NdpCarrier& carrier, Instant now) {
  const auto ndp = wire::parse_ndp(message, carrier);
  if (!ndp) {
    context_.drops.count(ndp.error());
    return;
  }
  if (const auto* ns = std::get_if<wire::NeighbourSolicitation>(&*ndp)) {
    solicited(*ns, carrier, now);
  } else if (const auto* na = std::get_if<wire::NeighbourAdvertisement>(&*ndp)) {
    advertised(*na, now);
  } else if (const auto* redirect = std::get_if<wire::Redirect>(&*ndp)) {
    redirected(*redirect, carrier, now);
  } else if (const auto* ra = std::get_if<wire::RouterAdvertisement>(&*ndp); ra && configures_) {
    router_advertised(*ra, carrier, now);
  } else {
    context_.drops.count(Discard::kNdpRouterMessage);
  }
}

// RFC 4861 §6.3.4. DEVIATES: the hop limit that routers advise is not taken; protocols set theirs.
void Ndp::router_advertised(const wire::RouterAdvertisement& message, const NdpCarrier& carrier,
                            Instant now) {
  heard(carrier.source, message.source_mac, now);
  neighbours_.set_times(std::chrono::milliseconds(message.reachable_time),
                        std::chrono::milliseconds(message.retransmit_timer));
  if (message.mtu) paths_.set_link_mtu_ipv6(*message.mtu);
  routers_.advertised(carrier.source, message, now);
  for (std::size_t i = 0; i < message.prefix_count; ++i) {
    slaac_.advertised(message.prefixes[i], now);
  }
}

// Who speaks of his Ethernet address is there.
void Ndp::heard(const Ipv6Address& neighbour, const std::optional<MacAddress>& mac, Instant now) {
  if (!mac || !mac->is_unicast()) return;
  neighbours_.heard_request(neighbour, *mac, now);
  first_hops().heard(neighbour);
}

void Ndp::silent(const Ipv6Address& target, Instant now) { first_hops().silent(target, now); }

// RFC 4861 §8.3.
void Ndp::redirected(const wire::Redirect& message, const NdpCarrier& carrier, Instant now) {
  if (!configures_ ||
      !first_hops().redirected(carrier.source, message.destination, message.target, now)) {
    context_.drops.count(Discard::kNdpRedirect);
    return;
  }
  if (message.target_mac && message.target_mac->is_unicast()) {
    neighbours_.heard_request(message.target, *message.target_mac, now);
  }
}

// RFC 4861 §7.2.3, RFC 4862 §5.4.3.
void Ndp::solicited(const wire::NeighbourSolicitation& message, const NdpCarrier& carrier,
                    Instant now) {
  const bool probe = carrier.source.is_unspecified();
  if (context_.addresses.is_tentative(message.target)) {
    if (probe) {
      duplicate_found(message.target, std::nullopt, now);  // another tests it too
    } else {
      context_.drops.count(Discard::kNdpDuplicateProbe);
    }
    return;
  }
  if (!context_.addresses.is_ours(message.target)) {
    context_.drops.count(Discard::kNdpNotForUs);
    return;
  }
  const wire::NeighbourAdvertisement answer{.solicited = !probe,
                                            .override_cache = true,
                                            .target = message.target,
                                            .target_mac = context_.mac};
  if (probe) {
    send(answer, message.target, wire::kIpv6AllNodes, std::nullopt, now);
    return;
  }
  if (!context_.routes6.is_on_link(carrier.source)) {
    context_.drops.count(Discard::kNdpSourceOffLink);
    return;
  }
  heard(carrier.source, message.source_mac, now);
  send(answer, message.target, carrier.source, std::nullopt, now);
}

// RFC 4861 §7.2.5, RFC 4862 §5.4.4.
void Ndp::advertised(const wire::NeighbourAdvertisement& message, Instant now) {
  if (context_.addresses.is_tentative(message.target)) {
    duplicate_found(message.target, message.target_mac, now);
    return;
  }
  if (context_.addresses.is_ours(message.target)) {
    context_.drops.count(Discard::kAddressConflict);
    context_.events.address_conflict(message.target, message.target_mac.value_or(MacAddress()),
                                     now);
    return;
  }
  if (message.target_mac && !message.target_mac->is_unicast()) {
    context_.drops.count(Discard::kNdpUnsolicited);
    return;
  }
  // "Solicited" is the sender's word; it counts only where we have asked.
  const NeighbourClaim claim{.mac = message.target_mac,
                             .solicited = message.solicited && neighbours_.asks_for(message.target),
                             .override_cache = message.override_cache};
  switch (neighbours_.heard_claim(message.target, claim, now)) {
    case ClaimResult::kUnknown:
      context_.drops.count(Discard::kNdpUnsolicited);
      return;
    case ClaimResult::kIgnored:
      context_.drops.count(Discard::kNdpClaimIgnored);
      return;
    case ClaimResult::kTaken:
      first_hops().heard(message.target);
      if (!message.router) routers_.remove(message.target, now);  // it has ceased to be one
      return;
  }
}

void Ndp::duplicate_found(const Ipv6Address& address, const std::optional<MacAddress>& other,
                          Instant now) {
  context_.drops.count(Discard::kAddressConflict);
  give_up_address(address, now);
  if (slaac_.duplicate_found(address, now)) return;
  context_.events.address_conflict(address, other.value_or(MacAddress()), now);
}

void Ndp::configure(Instant now) {
  configures_ = true;
  slaac_.form_link_local(now);
}

void Ndp::form_address(const wire::Ipv6Prefix& prefix, Instant now) {
  add_address(prefix, Uniqueness::kToBeTested, now);
}

void Ndp::give_up_address(const Ipv6Address& address, Instant now) {
  groups_.leave(address.solicited_node(), now);
  context_.addresses.remove(address);
  std::erase_if(tentative_, [&](const Tentative& each) { return each.prefix.address == address; });
}

void Ndp::serve(const wire::Ipv6Prefix& prefix, Instant now) {
  context_.addresses.add(prefix);
  context_.events.address_ready(prefix.address, now);
  if (configures_ && prefix.address == slaac_.link_local()) routers_.solicit(now);
}

// RFC 4862 §5.4.2: the group of its neighbours' questions is joined first. It is heard at once, but
// routers and switches are told of it only with the test, at random: hosts that start together, or
// hear of a prefix together, do not speak together.
void Ndp::add_address(const wire::Ipv6Prefix& prefix, Uniqueness uniqueness, Instant now) {
  if (uniqueness == Uniqueness::kCertain || options_.duplicate_probes == 0) {
    (void)groups_.join(prefix.address.solicited_node(), now);
    serve(prefix, now);
    return;
  }
  const auto delay = static_cast<Duration::rep>(
      context_.rng.below(static_cast<std::uint64_t>(kMaxFirstDelay.count())));
  (void)groups_.join(prefix.address.solicited_node(), now, Duration(delay));
  context_.addresses.add(prefix, AddressState::kTentative);
  tentative_.push_back({.prefix = prefix,
                        .probes_left = options_.duplicate_probes,
                        .deadline = now + Duration(delay)});
}

Instant Ndp::next_deadline() const {
  Instant earliest =
      std::min({neighbours_.next_deadline(), routers_.next_deadline(), slaac_.next_deadline()});
  for (const Tentative& each : tentative_) earliest = std::min(earliest, each.deadline);
  return earliest;
}

void Ndp::run_timers(Instant now) {
  neighbours_.run_timers(now);
  test_addresses(now);
  routers_.run_timers(now);
  slaac_.run_timers(now);
  if (!routers_.solicitation_due(now)) return;
  const auto source = slaac_.link_local();
  if (source && context_.addresses.is_ours(*source)) {
    send(wire::RouterSolicitation{.source_mac = context_.mac}, *source, wire::kIpv6AllRouters,
         std::nullopt, now);
  }
}

void Ndp::test_addresses(Instant now) {
  for (std::size_t i = 0; i < tentative_.size();) {
    Tentative& each = tentative_[i];
    if (each.deadline > now) {
      ++i;
      continue;
    }
    const Ipv6Address address = each.prefix.address;
    if (each.probes_left > 0) {
      --each.probes_left;
      each.deadline = now + neighbours_.retransmit_time();
      ++i;
      send(wire::NeighbourSolicitation{.target = address, .source_mac = std::nullopt},
           Ipv6Address(), address.solicited_node(), std::nullopt, now);
      continue;
    }
    const wire::Ipv6Prefix prefix = each.prefix;
    tentative_.erase(tentative_.begin() + static_cast<std::ptrdiff_t>(i));
    serve(prefix, now);
  }
}

// RFC 4861 §7.2.2: the neighbour will answer whom it is asked by, so it had better be who sends.
void Ndp::solicit(const Ipv6Address& target, const std::optional<MacAddress>& known,
                  const packet::Packet* waiting, Instant now) {
  std::optional<Ipv6Address> source;
  if (waiting != nullptr) source = wire::view_as<wire::Ipv6Header>(waiting->first().bytes()).source;
  if (!source || !context_.addresses.is_ours(*source)) {
    source = context_.addresses.source_for(target);
  }
  if (!source) {
    context_.drops.count(Discard::kNoSource);
    return;
  }
  const Ipv6Address destination = known ? target : target.solicited_node();
  send(wire::NeighbourSolicitation{.target = target, .source_mac = context_.mac}, *source,
       destination, known, now);
}

// Straight to the link: to `to`, to the group's address, or by way of the table.
void Ndp::send(const wire::Ndp& message, const Ipv6Address& source, const Ipv6Address& destination,
               const std::optional<MacAddress>& to, Instant now) {
  PacketPtr packet = context_.pool.get();
  if (packet == nullptr) {
    context_.drops.count(Discard::kPoolExhausted);
    return;
  }
  wire::MutableBytes bytes(packet->append(wire::kMaxNdpSize), wire::kMaxNdpSize);
  const std::size_t size = wire::emit(message, bytes);
  packet->truncate(size);
  bytes = bytes.first(size);
  wire::PartialChecksum sum = wire::pseudo_header(source, destination, wire::kProtocolIcmpv6,
                                                  static_cast<std::uint32_t>(size));
  sum.add(bytes);
  wire::view_as<wire::Icmpv6Header>(bytes).checksum = wire::be16(sum.checksum());
  const wire::MutableBytes header = prepend_header(packet, sizeof(wire::Ipv6Header), context_);
  if (header.empty()) return;
  wire::emit(wire::Ipv6{.payload_length = static_cast<std::uint16_t>(size),
                        .next_header = wire::kProtocolIcmpv6,
                        .hop_limit = wire::kNdpHopLimit,
                        .source = source,
                        .destination = destination},
             header);
  if (!to && !destination.is_multicast()) {
    neighbours_.send(std::move(packet), destination, now);
    return;
  }
  const MacAddress mac = to ? *to : MacAddress::for_multicast(destination);
  transmit(std::move(packet), mac, wire::kEtherTypeIpv6, context_, now);
}

}  // namespace tideline::ip
