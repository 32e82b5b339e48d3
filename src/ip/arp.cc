// SPDX-License-Identifier: Apache-2.0
#include "ip/arp.h"

#include <utility>

#include "ip/frame.h"
#include "wire/ethernet.h"

namespace tideline::ip {

using packet::PacketPtr;
using wire::ArpOperation;
using wire::Ipv4Address;
using wire::MacAddress;

namespace {

// RFC 5227 §1.1, DEFEND_INTERVAL: two stations that both defend must not flood the link.
constexpr Duration kDefendInterval = std::chrono::seconds(10);

}  // namespace

Arp::Arp(Context& context, const NeighbourOptions& options, Carrier& carrier)
    : context_(context), neighbours_(options, *this, carrier, context.drops, context.rng) {}

void Arp::receive(PacketPtr frame, const wire::PacketLayout& layout, Instant now) {
  const auto arp = wire::parse_arp(layout.l4_bytes(frame->first().bytes()));
  if (!arp) {
    context_.drops.count(arp.error());
    return;
  }
  if (!check_conflict(*arp, now)) return;
  if (!check_sender(*arp, now)) return;
  learn(*arp, now);
  answer(*arp, now);
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
  if (!defended_ || now - *defended_ >= kDefendInterval) {
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
    return;
  }
  const bool asked = neighbours_.asks_for(arp.sender_ip);
  if (arp.operation == ArpOperation::kReply && !arp.is_announcement() && !(asked && for_us)) {
    context_.drops.count(Discard::kArpUnsolicited);
    return;
  }
  const bool solicited = asked && arp.operation == ArpOperation::kReply && for_us;
  const NeighbourClaim claim{.mac = arp.sender_mac, .solicited = solicited, .override_cache = true};
  if (!neighbours_.heard_claim(arp.sender_ip, claim, now) && arp.is_announcement()) {
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

void Arp::announce(Ipv4Address address, Instant now) {
  send({.operation = ArpOperation::kRequest,
        .sender_mac = context_.mac,
        .sender_ip = address,
        .target_mac = {},
        .target_ip = address},
       wire::kMacBroadcast, now);
}

void Arp::solicit(const Ipv4Address& target, const std::optional<MacAddress>& known, Instant now) {
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
