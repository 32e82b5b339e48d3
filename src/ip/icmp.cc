// SPDX-License-Identifier: Apache-2.0
#include "ip/icmp.h"

#include <algorithm>
#include <utility>

#include "ip/frame.h"
#include "packet/copy.h"
#include "wire/ipv4.h"
#include "wire/protocol.h"

namespace tideline::ip {

using packet::Checksum;
using packet::PacketPtr;
using wire::IcmpHeader;
using wire::IcmpType;
using wire::Ipv6Address;
using wire::PacketLayout;

namespace {

// RFC 1812 §4.3.2.3: as much of the offending packet as keeps the error within 576 bytes.
constexpr std::size_t kIcmpMaxQuote = 576 - sizeof(wire::Ipv4Header) - sizeof(IcmpHeader);

// Of an error that was parsed.
wire::Bytes quoted_payload(wire::Bytes message) {
  const wire::Bytes quoted = message.subspan(sizeof(IcmpHeader));
  const auto& header = wire::view_as<wire::Ipv4Header>(quoted);
  return quoted.subspan(header.header_size() + sizeof(wire::QuotedTransport));
}

PathErrorKind kind_of(const wire::Icmp& icmp) {
  switch (icmp.type) {
    case IcmpType::kUnreachable:
      break;
    case IcmpType::kTimeExceeded:
      return PathErrorKind::kTimeExceeded;
    case IcmpType::kRedirect:
    case IcmpType::kParameterProblem:
    case IcmpType::kEchoReply:
    case IcmpType::kEchoRequest:
      return PathErrorKind::kParameterProblem;
  }
  switch (icmp.code) {
    case wire::kIcmpHostUnreachable:
      return PathErrorKind::kHostUnreachable;
    case wire::kIcmpProtocolUnreachable:
      return PathErrorKind::kProtocolUnreachable;
    case wire::kIcmpPortUnreachable:
      return PathErrorKind::kPortUnreachable;
    case wire::kIcmpFragmentationNeeded:
      return PathErrorKind::kPacketTooBig;
    case 7:   // host unknown
    case 8:   // host isolated
    case 10:  // host prohibited
    case 12:  // host unreachable for the type of service
      return PathErrorKind::kHostUnreachable;
    default:
      return PathErrorKind::kNetworkUnreachable;
  }
}

wire::Icmp icmp_of(const Problem& problem) {
  switch (problem.kind) {
    case Problem::Kind::kProtocolUnreachable:
      return {.type = IcmpType::kUnreachable, .code = wire::kIcmpProtocolUnreachable};
    case Problem::Kind::kPortUnreachable:
      return {.type = IcmpType::kUnreachable, .code = wire::kIcmpPortUnreachable};
    case Problem::Kind::kReassemblyTimeout:
      return {.type = IcmpType::kTimeExceeded, .code = wire::kIcmpReassemblyExceeded};
    case Problem::Kind::kParameter:
      break;
  }
  return {.type = IcmpType::kParameterProblem,
          .code = problem.code,
          .pointer = static_cast<std::uint8_t>(problem.pointer)};
}

}  // namespace

Icmp::Icmp(Context& context, Upcalls& upcalls, Sender& sender, PathMtuCache& paths,
           ErrorLimiter& limiter, EchoTable& echoes, Arp& arp)
    : context_(context),
      upcalls_(upcalls),
      sender_(sender),
      paths_(paths),
      limiter_(limiter),
      echoes_(echoes),
      arp_(arp) {}

void Icmp::receive(PacketPtr packet, const Datagram& datagram, Instant now) {
  const PacketLayout& layout = datagram.layout;
  if (packet->meta().offload.checksum == Checksum::kInPacket) {
    const auto sum = sum_range(*packet, layout.l4, layout.l4_size(), context_.passes);
    if (const auto checked = wire::check_icmp_checksum(sum); !checked) {
      context_.drops.count(checked.error());
      return;
    }
  }
  const auto icmp = wire::parse_icmp(layout.l4_bytes(packet->first().bytes()));
  if (!icmp) {
    context_.drops.count(icmp.error());
    return;
  }
  switch (icmp->type) {
    case IcmpType::kEchoRequest:
      answer(std::move(packet), datagram, now);
      return;
    case IcmpType::kEchoReply:
      replied(std::move(packet), datagram, *icmp, now);
      return;
    case IcmpType::kUnreachable:
    case IcmpType::kTimeExceeded:
    case IcmpType::kParameterProblem:
    case IcmpType::kRedirect:
      error_received(*icmp, datagram, layout.l4_bytes(packet->first().bytes()), now);
      return;
  }
}

// RFC 1122 §3.2.2.6: the data returns as it came, in the same buffers.
void Icmp::answer(PacketPtr packet, const Datagram& datagram, Instant now) {
  if (datagram.to_group) {
    context_.drops.count(Discard::kIcmpEchoToGroup);  // RFC 2644: nobody amplifies through us
    return;
  }
  packet->truncate(datagram.layout.end);
  packet->trim_front(datagram.layout.l4);
  const bool summed = packet->meta().offload.checksum != Checksum::kNeeded;
  packet->meta().offload = {};
  if (!own_front(packet, sizeof(IcmpHeader), context_)) return;
  auto& header = wire::view_as<IcmpHeader>(packet->first().writable());
  header.type = static_cast<std::uint8_t>(IcmpType::kEchoReply);
  if (summed) {
    header.checksum = wire::be16(wire::update_checksum(
        header.checksum.value(), static_cast<std::uint16_t>(IcmpType::kEchoRequest) << 8, 0));
  } else {
    header.checksum = wire::be16(0);
    header.checksum = wire::be16(sum_range(*packet, 0, packet->size(), context_.passes).checksum());
  }
  (void)sender_.send(  // a refusal is counted there
      std::move(packet),
      {.source = datagram.destination,
       .destination = datagram.source,
       .protocol = wire::kProtocolIcmp,
       .traffic_class = datagram.traffic_class},
      now);
}

void Icmp::replied(PacketPtr packet, const Datagram& datagram, const wire::Icmp& icmp,
                   Instant now) {
  EchoHandler* handler = echoes_.find(icmp.identifier);
  if (handler == nullptr) {
    context_.drops.count(Discard::kIcmpEchoUnknown);
    return;
  }
  packet->truncate(datagram.layout.end);
  packet->trim_front(datagram.layout.l4 + sizeof(IcmpHeader));
  handler->echo_replied({.source = datagram.source,
                         .identifier = icmp.identifier,
                         .sequence = icmp.sequence,
                         .hop_limit = datagram.hop_limit,
                         .data = std::move(packet)},
                        now);
}

// RFC 1122 §3.2.2: passed to whom the quoted header names, if it is from us at all (RFC 5927 §4).
void Icmp::error_received(const wire::Icmp& icmp, const Datagram& datagram, wire::Bytes message,
                          Instant now) {
  const wire::Ipv4Quote& quote = icmp.quote;
  if (!context_.addresses.is_ours(quote.source)) {
    context_.drops.count(Discard::kIcmpQuoteNotOurs);
    return;
  }
  const PathError error{.kind = kind_of(icmp),
                        .mtu = icmp.next_hop_mtu,
                        .quote = {.source = Ipv6Address::mapped(quote.source),
                                  .destination = Ipv6Address::mapped(quote.destination),
                                  .protocol = quote.protocol,
                                  .transport = quote.transport},
                        .type = static_cast<std::uint8_t>(icmp.type),
                        .code = icmp.code,
                        .offender = datagram.source,
                        .payload = quoted_payload(message)};
  if (!upcalls_.recognises(error)) {
    context_.drops.count(Discard::kIcmpQuoteUnknown);
    return;
  }
  if (icmp.type == IcmpType::kRedirect) {
    redirected(icmp, datagram, now);
    return;
  }
  if (error.kind == PathErrorKind::kPacketTooBig &&
      !paths_.lower(error.quote.destination, error.mtu, now)) {
    context_.drops.count(Discard::kPmtuImplausible);
  }
  upcalls_.failed(error, now);
}

// RFC 1122 §3.2.2.2: of a host, whatever the code says; from its present first hop, to another on
// the link.
void Icmp::redirected(const wire::Icmp& icmp, const Datagram& datagram, Instant now) {
  const bool usable = !datagram.to_group && context_.routes4.is_on_link(icmp.gateway) &&
                      !context_.addresses.is_broadcast(icmp.gateway) && datagram.source.is_mapped();
  if (usable && arp_.first_hops().redirected(datagram.source.mapped_ipv4(), icmp.quote.destination,
                                             icmp.gateway, now)) {
    return;
  }
  context_.drops.count(Discard::kIcmpRedirect);
}

bool Icmp::recognises(const PathError& error) const {
  return error.quote.icmp_type() == static_cast<std::uint8_t>(IcmpType::kEchoRequest) &&
         echoes_.find(error.quote.icmp_identifier()) != nullptr;
}

void Icmp::failed(const PathError& error, Instant now) {
  EchoHandler* handler = echoes_.find(error.quote.icmp_identifier());
  if (handler != nullptr) handler->echo_failed(error, now);
}

Sent Icmp::ping(PacketPtr request, const Departure& departure, std::uint16_t identifier,
                std::uint16_t sequence, Instant now) {
  const wire::MutableBytes header = prepend_header(request, sizeof(IcmpHeader), context_);
  if (header.empty()) return std::unexpected(Discard::kPoolExhausted);
  wire::emit(
      wire::Icmp{.type = IcmpType::kEchoRequest, .identifier = identifier, .sequence = sequence},
      header);
  wire::view_as<IcmpHeader>(header).checksum =
      wire::be16(sum_range(*request, 0, request->size(), context_.passes).checksum());
  return sender_.send(std::move(request), departure, now);
}

void Icmp::report(const packet::Packet& offending, const PacketLayout& layout,
                  const Problem& problem, Instant now) {
  if (!may_report(offending, layout)) return;
  const wire::Ipv4Header& header = layout.ipv4(offending.first().bytes());
  const Ipv6Address destination = Ipv6Address::mapped(header.source);
  if (!limiter_.allow(destination, now)) {
    context_.drops.count(Discard::kIcmpRateLimited);
    return;
  }
  PacketPtr packet = context_.pool.get();
  if (packet == nullptr) {
    context_.drops.count(Discard::kPoolExhausted);
    return;
  }
  const std::size_t quoted = std::min(layout.l3_size(), kIcmpMaxQuote);
  const std::size_t size = sizeof(IcmpHeader) + quoted;
  const wire::MutableBytes message(packet->append(size), size);
  wire::emit(icmp_of(problem), message);
  packet::copy_out(offending, layout.l3, message.subspan(sizeof(IcmpHeader)), context_.passes);
  wire::view_as<IcmpHeader>(message).checksum = wire::be16(wire::checksum(message));
  (void)sender_.send(  // a refusal is counted there
      std::move(packet),
      {.source = Ipv6Address::mapped(header.destination),
       .destination = destination,
       .protocol = wire::kProtocolIcmp},
      now);
}

// RFC 1122 §3.2.2: never about an ICMP error, a broadcast or multicast on either layer, or a
// fragment that is not the first. Sources that are no single host were dropped on receipt.
bool Icmp::may_report(const packet::Packet& offending, const PacketLayout& layout) const {
  if (layout.cast != wire::LinkCast::kUnicast || layout.fragment_offset != 0) return false;
  const wire::Bytes head = offending.first().bytes();
  if (!context_.addresses.is_ours(layout.ipv4(head).destination)) return false;
  if (layout.protocol != wire::kProtocolIcmp) return true;
  const wire::Bytes message = layout.l4_bytes(head);
  return !message.empty() &&
         !wire::is_icmp_error_type(std::to_integer<std::uint8_t>(message.front()));
}

}  // namespace tideline::ip
