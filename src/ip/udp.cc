// SPDX-License-Identifier: Apache-2.0
#include "ip/udp.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "ip/fragmentation.h"
#include "ip/frame.h"
#include "wire/protocol.h"
#include "wire/udp.h"

namespace tideline::ip {

using packet::Checksum;
using packet::Gso;
using packet::PacketPtr;
using wire::Ipv4Address;
using wire::Ipv6Address;
using wire::PacketLayout;
using wire::UdpHeader;

namespace {

constexpr Ipv6Address kAnyIpv4 = Ipv6Address::mapped(Ipv4Address());

wire::PartialChecksum pseudo_header(const Ipv6Address& source, const Ipv6Address& destination,
                                    std::size_t size) {
  const auto length = static_cast<std::uint32_t>(size);
  if (destination.is_mapped()) {
    return wire::pseudo_header(source.mapped_ipv4(), destination.mapped_ipv4(), wire::kProtocolUdp,
                               length);
  }
  return wire::pseudo_header(source, destination, wire::kProtocolUdp, length);
}

// What of the offloads concerns the handler: how many datagrams the payload is.
packet::Offload datagrams_of(const packet::Packet& payload) {
  const packet::Offload& received = payload.meta().offload;
  if (received.gso != Gso::kUdp || received.gso_size == 0 || payload.size() <= received.gso_size) {
    return {};
  }
  return {.gso = Gso::kUdp, .gso_size = received.gso_size};
}

// The addresses under which a datagram to `local` may have a listener, the most specific first; ::
// serves both versions.
std::array<Ipv6Address, 3> addresses_of(const UdpEndpoint& local) {
  return {local.address, local.address.is_mapped() ? kAnyIpv4 : Ipv6Address(), Ipv6Address()};
}

}  // namespace

Udp::Udp(Context& context, Upcalls& upcalls, Sender& sender)
    : context_(context),
      upcalls_(upcalls),
      sender_(sender),
      handlers_(16, EndpointHash{HashKey::random(context.rng)}) {}

Status Udp::bind(const UdpEndpoint& local, UdpHandler& handler, UdpSharing sharing,
                 bool only_ipv6) {
  if (local.port == 0) {
    return fail({.kind = ErrorKind::kUsage, .what = "cannot bind UDP port 0"});
  }
  Listeners& listeners = handlers_.try_emplace(local, Listeners{.sharing = sharing}).first->second;
  if (!listeners.handlers.empty() && std::min(sharing, listeners.sharing) == UdpSharing::kNone) {
    return fail(
        {.kind = ErrorKind::kUsage,
         .what = fmt::format("UDP port {} of {} is in use", local.port, local.address.to_text())});
  }
  listeners.handlers.push_back(&handler);
  listeners.sharing = std::min(sharing, listeners.sharing);
  listeners.only_ipv6 &= only_ipv6;
  return {};
}

void Udp::unbind(const UdpEndpoint& local) { handlers_.erase(local); }

void Udp::unbind(const UdpEndpoint& local, const UdpHandler& handler) {
  const auto found = handlers_.find(local);
  if (found == handlers_.end()) return;
  std::erase(found->second.handlers, &handler);
  if (found->second.handlers.empty()) handlers_.erase(found);
}

namespace {

UdpEndpoint source_of(const PathError& error) {
  return {.address = error.quote.source, .port = error.quote.source_port()};
}
UdpEndpoint destination_of(const PathError& error) {
  return {.address = error.quote.destination, .port = error.quote.destination_port()};
}

}  // namespace

// The most specific listener: RFC 1122 §4.1.3.5.
UdpHandler* Udp::find(const UdpEndpoint& local, const UdpEndpoint& remote) const {
  for (const Ipv6Address& address : addresses_of(local)) {
    const auto found = handlers_.find({.address = address, .port = local.port});
    if (found == handlers_.end() || !found->second.hear(local)) continue;
    const auto& [sharing, handlers, only_ipv6] = found->second;
    if (sharing != UdpSharing::kBalanced) return handlers.back();
    return handlers[handlers_.hash_function()(remote) % handlers.size()];
  }
  return nullptr;
}

void Udp::receive(PacketPtr packet, const Datagram& datagram, Instant now) {
  const PacketLayout& layout = datagram.layout;
  const UdpHeader& header = layout.udp(packet->first().bytes());
  if (tunnel_ != nullptr && header.destination_port.value() == tunnel_port_) {
    tunnel_->receive(std::move(packet), datagram, now);
    return;
  }
  if (!check_checksum(*packet, datagram)) return;
  const UdpPath path{
      .source = {.address = datagram.source, .port = header.source_port.value()},
      .destination = {.address = datagram.destination, .port = header.destination_port.value()},
      .hop_limit = datagram.hop_limit,
      .traffic_class = datagram.traffic_class};
  UdpHandler* handler = find(path.destination, path.source);
  if (handler == nullptr) {
    context_.drops.count(Discard::kUdpPortClosed);
    upcalls_.report(*packet, layout, {.kind = Problem::Kind::kPortUnreachable}, now);
    return;
  }
  packet->truncate(layout.end);
  packet->trim_front(layout.payload);
  packet->meta().offload = datagrams_of(*packet);
  if (datagram.to_group) {
    deliver_to_all(std::move(packet), path, now);
  } else {
    handler->receive(std::move(packet), path, now);
  }
}

// RFC 1112 §7.1: a datagram to a group goes to everybody who listens. Each gets a packet of its
// own, of the same memory as long as there are loans. Listeners may bind and unbind meanwhile.
void Udp::deliver_to_all(PacketPtr payload, const UdpPath& path, Instant now) {
  std::array<UdpHandler*, kMaxGroupListeners> listeners;
  std::size_t count = 0;
  Ipv6Address last;
  for (const Ipv6Address& address : addresses_of(path.destination)) {
    const auto found = handlers_.find({.address = address, .port = path.destination.port});
    if (found == handlers_.end() || (count > 0 && address == last)) continue;
    if (!found->second.hear(path.destination)) continue;
    last = address;
    for (UdpHandler* handler : found->second.handlers) {
      if (count < listeners.size()) listeners[count++] = handler;
    }
  }
  if (count == 1) {
    listeners[0]->receive(std::move(payload), path, now);
    return;
  }
  const packet::Metadata meta = payload->meta();
  const std::size_t size = payload->size();
  const packet::PacketRef whole(std::move(payload));
  for (std::size_t i = 0; i < count; ++i) {
    PacketPtr copy = lend_or_copy(whole, 0, size, context_);
    if (copy == nullptr) return;
    copy->meta() = meta;
    listeners[i]->receive(std::move(copy), path, now);
  }
}

// RFC 1122 §4.1.3.4, RFC 8200 §8.1.
bool Udp::check_checksum(const packet::Packet& packet, const Datagram& datagram) {
  if (packet.meta().offload.checksum != Checksum::kInPacket) return true;
  const PacketLayout& layout = datagram.layout;
  const wire::Udp udp{.length = static_cast<std::uint16_t>(layout.l4_size()),
                      .checksum = layout.udp(packet.first().bytes()).checksum.value()};
  wire::PartialChecksum sum;
  if (udp.checksum != 0) {
    sum = pseudo_header(datagram.source, datagram.destination, udp.length);
    sum.add(sum_range(packet, layout.l4, udp.length, context_.passes));
  }
  const auto rule =
      layout.ip_version == 4 ? wire::UdpChecksumRule::kOptional : wire::UdpChecksumRule::kRequired;
  const auto checked = wire::check_udp_checksum(udp, sum, rule);
  if (!checked) context_.drops.count(checked.error());
  return checked.has_value();
}

Sent Udp::send(PacketPtr payload, const UdpPath& path, Instant now) {
  const std::size_t size = sizeof(UdpHeader) + payload->size();
  if (size > wire::kMaxDatagram) return context_.drops.refuse(Discard::kTooBig);
  if (path.destination.port == 0) return context_.drops.refuse(Discard::kUdpPortZero);
  packet::Offload& wanted = payload->meta().offload;
  CHECK(wanted.gso == Gso::kNone || (wanted.gso == Gso::kUdp && wanted.gso_size > 0));
  const bool many = wanted.gso == Gso::kUdp && payload->size() > wanted.gso_size;
  wanted =
      many ? packet::Offload{.gso = Gso::kUdp, .gso_size = wanted.gso_size} : packet::Offload{};
  const wire::MutableBytes header = prepend_header(payload, sizeof(UdpHeader), context_);
  if (header.empty()) return std::unexpected(Discard::kPoolExhausted);
  const auto pseudo = pseudo_header(path.source.address, path.destination.address, size);
  wire::emit(wire::Udp{.source_port = path.source.port,
                       .destination_port = path.destination.port,
                       .length = static_cast<std::uint16_t>(size),
                       .checksum = pseudo.folded()},
             header);
  packet::Offload& offload = payload->meta().offload;
  offload.checksum = Checksum::kNeeded;
  offload.checksum_start = 0;
  offload.checksum_offset = offsetof(UdpHeader, checksum);
  return sender_.send(std::move(payload),
                      {.source = path.source.address,
                       .destination = path.destination.address,
                       .protocol = wire::kProtocolUdp,
                       .hop_limit = path.hop_limit,
                       .traffic_class = path.traffic_class,
                       .may_fragment = path.may_fragment},
                      now);
}

bool Udp::recognises(const PathError& error) const {
  if (tunnel_ != nullptr && error.quote.destination_port() == tunnel_port_) {
    return tunnel_->recognises(error);
  }
  return find(source_of(error), destination_of(error)) != nullptr;
}

void Udp::failed(const PathError& error, Instant now) {
  if (tunnel_ != nullptr && error.quote.destination_port() == tunnel_port_) {
    tunnel_->failed(error, now);
    return;
  }
  UdpHandler* handler = find(source_of(error), destination_of(error));
  if (handler != nullptr) handler->failed(error, now);
}

}  // namespace tideline::ip
