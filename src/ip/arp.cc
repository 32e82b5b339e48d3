// SPDX-License-Identifier: Apache-2.0
#include "ip/arp.h"

#include <algorithm>
#include <utility>

#include "ip/frame.h"
#include "wire/ethernet.h"

namespace tideline::ip {

using packet::PacketPtr;
using wire::ArpOperation;
using wire::Ipv4Address;
using wire::MacAddress;

Arp::Arp(Context& context, const NeighbourOptions& options, const AddressProbeOptions& probing,
         Carrier& carrier)
    : context_(context),
      probing_(probing),
      neighbours_(options, *this, carrier, context.drops, context.rng),
      first_hops_(context, context.routes4, neighbours_) {}

// RFC 5227 §2.1.1.
void Arp::add_address(const wire::Ipv4Prefix& prefix, Uniqueness uniqueness, Instant now) {
  const bool tested = uniqueness == Uniqueness::kToBeTested && probing_.probes > 0;
  claims_.push_back({.prefix = prefix,
                     .probes_left = tested ? probing_.probes : 0,
                     .announcements_left = probing_.announcements,
                     .ours = false,
                     .deadline = tested ? now + between({}, probing_.longest_wait) : now});
  run_timers(now);
}

Instant Arp::next_deadline() const {
  Instant earliest = neighbours_.next_deadline();
  for (const Claim& each : claims_) earliest = std::min(earliest, each.deadline);
  return earliest;
}

void Arp::run_timers(Instant now) {
  neighbours_.run_timers(now);
  for (std::size_t i = 0; i < claims_.size(); ++i) {
    if (claims_[i].deadline <= now) step(claims_[i], now);
  }
  std::erase_if(claims_,
                [](const Claim& each) { return each.ours && each.announcements_left == 0; });
}

// RFC 5227 §2.1.1, §2.3: probes, a wait, announcements.
void Arp::step(Claim& claim, Instant now) {
  const Ipv4Address address = claim.prefix.address;
  if (claim.probes_left > 0) {
    --claim.probes_left;
    claim.deadline = now + (claim.probes_left > 0
                                ? between(probing_.shortest_interval, probing_.longest_interval)
                                : probing_.announce_wait);
    probe(address, now);
    return;
  }
  if (!claim.ours) {
    claim.ours = true;
    context_.addresses.add(claim.prefix);
    context_.events.address_ready(wire::Ipv6Address::mapped(address), now);
  }
  if (claim.announcements_left == 0) return;
  --claim.announcements_left;
  claim.deadline = now + probing_.announce_interval;
  announce(address, now);
}

void Arp::receive(PacketPtr frame, const wire::PacketLayout& layout, Instant now) {
  const auto arp = wire::parse_arp(layout.l4_bytes(frame->first().bytes()));
  if (!arp) {
    context_.drops.count(arp.error());
    return;
  }
  if (!check_claims(*arp, now)) return;
  if (!check_conflict(*arp, now)) return;
  if (!check_sender(*arp, now)) return;
  learn(*arp, now);
  answer(*arp, now);
}

// RFC 5227 §2.1.1: somebody has the address that we test, or tests it too.
bool Arp::check_claims(const wire::Arp& arp, Instant now) {
  const auto taken = std::ranges::find_if(claims_, [&](const Claim& claim) {
    const bool theirs = arp.sender_ip == claim.prefix.address ||
                        (arp.is_probe() && arp.target_ip == claim.prefix.address);
    return !claim.ours && theirs && arp.sender_mac != context_.mac;
  });
  if (taken == claims_.end()) return true;
  context_.drops.count(Discard::kAddressConflict);
  const auto address = wire::Ipv6Address::mapped(taken->prefix.address);
  claims_.erase(taken);
  context_.events.address_conflict(address, arp.sender_mac, now);
  return false;
}

// RFC 5227 §2.4: somebody else sends from our address.
bool Arp::check_conflict(const wire::Arp& arp, Instant now) {
  if (!context_.addresses.is_ours(arp.sender_ip)) return true;
  if (arp.sender_mac == context_.mac) {
    context_.drops.count(Discard::kSourceIsOurs);  // our own broadcast, come back
    return false;
  }
  context_.drops.count(Discard::kAddressConflict);
  context_.events.address_conflict(wire::Ipv6Address::mapped(arp.sender_ip), arp.sender_mac, now);
  if (!defended_ || now - *defended_ >= probing_.defend_interval) {
    defended_ = now;
    announce(arp.sender_ip, now);
  }
  return false;
}

// Whose addresses may enter the table. A probe, which has no address yet, is answered all the same.
bool Arp::check_sender(const wire::Arp& arp, Instant now) {
  if (arp.is_probe()) {
    answer(arp, now);
    return false;
  }
  if (!arp.sender_is_cacheable() || context_.addresses.is_broadcast(arp.sender_ip)) {
    context_.drops.count(Discard::kArpSenderNotCacheable);
    return false;
  }
  if (!context_.routes4.is_on_link(arp.sender_ip)) {
    context_.drops.count(Discard::kArpSenderOffLink);
    return false;
  }
  return true;
}

// RFC 826, "Packet Reception": merge, and add only whom we are going to answer.
void Arp::learn(const wire::Arp& arp, Instant now) {
  const bool for_us = context_.addresses.is_ours(arp.target_ip);
  if (arp.operation == ArpOperation::kRequest && for_us) {
    neighbours_.heard_request(arp.sender_ip, arp.sender_mac, now);
    first_hops_.heard(arp.sender_ip);
    return;
  }
  const bool asked = neighbours_.asks_for(arp.sender_ip);
  if (arp.operation == ArpOperation::kReply && !arp.is_announcement() && !(asked && for_us)) {
    context_.drops.count(Discard::kArpUnsolicited);
    return;
  }
  const bool solicited = asked && arp.operation == ArpOperation::kReply && for_us;
  const NeighbourClaim claim{.mac = arp.sender_mac, .solicited = solicited, .override_cache = true};
  const ClaimResult result = neighbours_.heard_claim(arp.sender_ip, claim, now);
  if (result == ClaimResult::kTaken) first_hops_.heard(arp.sender_ip);
  if (result == ClaimResult::kUnknown && arp.is_announcement()) {
    context_.drops.count(Discard::kArpUnsolicited);
  }
}

void Arp::answer(const wire::Arp& arp, Instant now) {
  if (arp.operation != ArpOperation::kRequest) return;
  if (!context_.addresses.is_ours(arp.target_ip)) {
    context_.drops.count(Discard::kArpNotForUs);
    return;
  }
  send({.operation = ArpOperation::kReply,
        .sender_mac = context_.mac,
        .sender_ip = arp.target_ip,
        .target_mac = arp.sender_mac,
        .target_ip = arp.sender_ip},
       arp.sender_mac, now);
}

void Arp::probe(Ipv4Address address, Instant now) {
  send({.operation = ArpOperation::kRequest,
        .sender_mac = context_.mac,
        .sender_ip = {},
        .target_mac = {},
        .target_ip = address},
       wire::kMacBroadcast, now);
}

void Arp::announce(Ipv4Address address, Instant now) {
  send({.operation = ArpOperation::kRequest,
        .sender_mac = context_.mac,
        .sender_ip = address,
        .target_mac = {},
        .target_ip = address},
       wire::kMacBroadcast, now);
}

void Arp::silent(const Ipv4Address& target, Instant now) { first_hops_.silent(target, now); }

void Arp::solicit(const Ipv4Address& target, const std::optional<MacAddress>& known,
                  const packet::Packet* /*waiting*/, Instant now) {
  const auto source = context_.addresses.source_for(target);
  if (!source) {
    context_.drops.count(Discard::kNoSource);
    return;
  }
  send({.operation = ArpOperation::kRequest,
        .sender_mac = context_.mac,
        .sender_ip = *source,
        .target_mac = {},
        .target_ip = target},
       known.value_or(wire::kMacBroadcast), now);
}

Duration Arp::between(Duration shortest, Duration longest) {
  const double more = static_cast<double>((longest - shortest).count()) * context_.rng.unit();
  return shortest + Duration(static_cast<Duration::rep>(more));
}

void Arp::send(const wire::Arp& arp, const MacAddress& to, Instant now) {
  PacketPtr packet = context_.pool.get();
  if (packet == nullptr) {
    context_.drops.count(Discard::kPoolExhausted);
    return;
  }
  wire::emit(arp, {packet->append(sizeof(wire::ArpHeader)), sizeof(wire::ArpHeader)});
  transmit(std::move(packet), to, wire::kEtherTypeArp, context_, now);
}

}  // namespace tideline::ip
