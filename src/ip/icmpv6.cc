// SPDX-License-Identifier: Apache-2.0
#include "ip/icmpv6.h"

#include <algorithm>
#include <array>
#include <utility>

#include "ip/frame.h"
#include "packet/copy.h"
#include "wire/ipv6.h"
#include "wire/protocol.h"

namespace tideline::ip {

using packet::Checksum;
using packet::PacketPtr;
using wire::Icmpv6Header;
using wire::Icmpv6Type;
using wire::Ipv6Address;
using wire::PacketLayout;

namespace {

// RFC 4443 §2.4 (c): as much of the offending packet as keeps the error within the minimum MTU.
constexpr std::size_t kIcmpv6MaxQuote =
    wire::kIpv6MinimumMtu - sizeof(wire::Ipv6Header) - sizeof(Icmpv6Header);
// Larger neighbour discovery messages have options that we do not know by the dozen.
constexpr std::size_t kMaxNdpMessage = 1280;

// Of an error that was parsed; nothing if there are extension headers.
wire::Bytes quoted_payload(wire::Bytes message, std::uint8_t protocol) {
  const wire::Bytes quoted = message.subspan(sizeof(Icmpv6Header));
  if (wire::view_as<wire::Ipv6Header>(quoted).next_header != protocol) return {};
  return quoted.subspan(sizeof(wire::Ipv6Header) + sizeof(wire::QuotedTransport));
}

PathErrorKind kind_of(const wire::Icmpv6& icmpv6) {
  switch (icmpv6.type) {
    case Icmpv6Type::kPacketTooBig:
      return PathErrorKind::kPacketTooBig;
    case Icmpv6Type::kTimeExceeded:
      return PathErrorKind::kTimeExceeded;
    case Icmpv6Type::kParameterProblem:
      return icmpv6.code == wire::kIcmpv6UnknownNextHeader ? PathErrorKind::kProtocolUnreachable
                                                           : PathErrorKind::kParameterProblem;
    case Icmpv6Type::kUnreachable:
    case Icmpv6Type::kEchoRequest:
    case Icmpv6Type::kEchoReply:
      break;
  }
  if (icmpv6.type != Icmpv6Type::kUnreachable) return PathErrorKind::kUnknown;
  switch (icmpv6.code) {
    case wire::kIcmpv6AddressUnreachable:
      return PathErrorKind::kHostUnreachable;
    case wire::kIcmpv6PortUnreachable:
      return PathErrorKind::kPortUnreachable;
    default:
      return PathErrorKind::kNetworkUnreachable;
  }
}

wire::Icmpv6 icmpv6_of(const Problem& problem) {
  switch (problem.kind) {
    case Problem::Kind::kProtocolUnreachable:
      return {.type = Icmpv6Type::kParameterProblem,
              .code = wire::kIcmpv6UnknownNextHeader,
              .pointer = problem.pointer};
    case Problem::Kind::kPortUnreachable:
      return {.type = Icmpv6Type::kUnreachable, .code = wire::kIcmpv6PortUnreachable};
    case Problem::Kind::kReassemblyTimeout:
      return {.type = Icmpv6Type::kTimeExceeded, .code = wire::kIcmpv6ReassemblyExceeded};
    case Problem::Kind::kParameter:
      break;
  }
  return {.type = Icmpv6Type::kParameterProblem, .code = problem.code, .pointer = problem.pointer};
}

wire::PartialChecksum sum_message(const packet::Packet& packet, std::size_t offset,
                                  std::size_t size, const Ipv6Address& source,
                                  const Ipv6Address& destination, Context& context) {
  auto sum = wire::pseudo_header(source, destination, wire::kProtocolIcmpv6,
                                 static_cast<std::uint32_t>(size));
  sum.add(sum_range(packet, offset, size, context.passes));
  return sum;
}

}  // namespace

Icmpv6::Icmpv6(Context& context, Upcalls& upcalls, Sender& sender, PathMtuCache& paths,
               ErrorLimiter& limiter, EchoTable& echoes, Ndp& ndp, Mld& mld)
    : context_(context),
      upcalls_(upcalls),
      sender_(sender),
      paths_(paths),
      limiter_(limiter),
      echoes_(echoes),
      ndp_(ndp),
      mld_(mld) {}

void Icmpv6::receive(PacketPtr packet, const Datagram& datagram, Instant now) {
  if (!check_checksum(*packet, datagram)) return;
  const wire::Bytes message = datagram.layout.l4_bytes(packet->first().bytes());
  if (!message.empty() && wire::is_ndp_type(std::to_integer<std::uint8_t>(message.front()))) {
    receive_ndp(std::move(packet), datagram, now);
    return;
  }
  if (!message.empty() && wire::is_mld_type(std::to_integer<std::uint8_t>(message.front()))) {
    mld_.receive(*packet, datagram, now);
    return;
  }
  if (datagram.source.is_unspecified()) {
    context_.drops.count(Discard::kSourceUnspecified);
    return;
  }
  const auto icmpv6 = wire::parse_icmpv6(message);
  if (!icmpv6) {
    context_.drops.count(icmpv6.error());
    return;
  }
  switch (icmpv6->type) {
    case Icmpv6Type::kEchoRequest:
      answer(std::move(packet), datagram, now);
      return;
    case Icmpv6Type::kEchoReply:
      replied(std::move(packet), datagram, *icmpv6, now);
      return;
    case Icmpv6Type::kUnreachable:
    case Icmpv6Type::kPacketTooBig:
    case Icmpv6Type::kTimeExceeded:
    case Icmpv6Type::kParameterProblem:
      break;
  }
  error_received(*icmpv6, datagram, message, now);  // of a type that may be unknown
}

bool Icmpv6::check_checksum(const packet::Packet& packet, const Datagram& datagram) {
  if (packet.meta().offload.checksum != Checksum::kInPacket) return true;
  const auto sum = sum_message(packet, datagram.layout.l4, datagram.layout.l4_size(),
                               datagram.source, datagram.destination, context_);
  const auto checked = wire::check_icmpv6_checksum(sum);
  if (!checked) context_.drops.count(checked.error());
  return checked.has_value();
}

void Icmpv6::receive_ndp(PacketPtr packet, const Datagram& datagram, Instant now) {
  const PacketLayout& layout = datagram.layout;
  std::array<std::byte, kMaxNdpMessage> message;
  const std::size_t size = std::min(layout.l4_size(), message.size());
  packet::copy_out(*packet, layout.l4, std::span(message).first(size), context_.passes);
  // RFC 6980 §5: never in fragments, not even in one.
  if (datagram.in_fragments || size < layout.l4_size()) {
    context_.drops.count(Discard::kNdpFragmented);
    return;
  }
  ndp_.receive(wire::Bytes(message).first(size),
               {.source = datagram.source,
                .destination = datagram.destination,
                .hop_limit = datagram.hop_limit},
               now);
}

// RFC 4443 §4.2: the data returns as it came, in the same buffers.
void Icmpv6::answer(PacketPtr packet, const Datagram& datagram, Instant now) {
  if (datagram.to_group) {
    context_.drops.count(Discard::kIcmpEchoToGroup);
    return;
  }
  packet->truncate(datagram.layout.end);
  packet->trim_front(datagram.layout.l4);
  const bool summed = packet->meta().offload.checksum != Checksum::kNeeded;
  packet->meta().offload = {};
  if (!own_front(packet, sizeof(Icmpv6Header), context_)) return;
  auto& header = wire::view_as<Icmpv6Header>(packet->first().writable());
  header.type = static_cast<std::uint8_t>(Icmpv6Type::kEchoReply);
  if (summed) {
    // Addresses change places, which no sum notices.
    header.checksum = wire::be16(wire::update_checksum(
        header.checksum.value(), static_cast<std::uint16_t>(Icmpv6Type::kEchoRequest) << 8,
        static_cast<std::uint16_t>(Icmpv6Type::kEchoReply) << 8));
  } else {
    header.checksum = wire::be16(0);
    header.checksum = wire::be16(
        sum_message(*packet, 0, packet->size(), datagram.source, datagram.destination, context_)
            .checksum());
  }
  (void)sender_.send(  // a refusal is counted there
      std::move(packet),
      {.source = datagram.destination,
       .destination = datagram.source,
       .protocol = wire::kProtocolIcmpv6,
       .traffic_class = datagram.traffic_class},
      now);
}

void Icmpv6::replied(PacketPtr packet, const Datagram& datagram, const wire::Icmpv6& icmpv6,
                     Instant now) {
  EchoHandler* handler = echoes_.find(icmpv6.identifier);
  if (handler == nullptr) {
    context_.drops.count(Discard::kIcmpEchoUnknown);
    return;
  }
  packet->truncate(datagram.layout.end);
  packet->trim_front(datagram.layout.l4 + sizeof(Icmpv6Header));
  handler->echo_replied({.source = datagram.source,
                         .identifier = icmpv6.identifier,
                         .sequence = icmpv6.sequence,
                         .hop_limit = datagram.hop_limit,
                         .data = std::move(packet)},
                        now);
}

// RFC 4443 §2.4 (d), if the quoted packet is from us at all (RFC 5927 §4).
void Icmpv6::error_received(const wire::Icmpv6& icmpv6, const Datagram& datagram,
                            wire::Bytes message, Instant now) {
  if (!context_.addresses.is_ours(icmpv6.quote.source)) {
    context_.drops.count(Discard::kIcmpQuoteNotOurs);
    return;
  }
  const PathError error{.kind = kind_of(icmpv6),
                        .mtu = icmpv6.mtu,
                        .quote = icmpv6.quote,
                        .type = static_cast<std::uint8_t>(icmpv6.type),
                        .code = icmpv6.code,
                        .offender = datagram.source,
                        .payload = quoted_payload(message, icmpv6.quote.protocol)};
  if (!upcalls_.recognises(error)) {
    context_.drops.count(Discard::kIcmpQuoteUnknown);
    return;
  }
  if (error.kind == PathErrorKind::kPacketTooBig &&
      !paths_.lower(error.quote.destination, error.mtu, now)) {
    context_.drops.count(Discard::kPmtuImplausible);
  }
  upcalls_.failed(error, now);
}

bool Icmpv6::recognises(const PathError& error) const {
  return error.quote.icmp_type() == static_cast<std::uint8_t>(Icmpv6Type::kEchoRequest) &&
         echoes_.find(error.quote.icmp_identifier()) != nullptr;
}

void Icmpv6::failed(const PathError& error, Instant now) {
  EchoHandler* handler = echoes_.find(error.quote.icmp_identifier());
  if (handler != nullptr) handler->echo_failed(error, now);
}

Sent Icmpv6::ping(PacketPtr request, const Departure& departure, std::uint16_t identifier,
                  std::uint16_t sequence, Instant now) {
  const wire::MutableBytes header = prepend_header(request, sizeof(Icmpv6Header), context_);
  if (header.empty()) return std::unexpected(Discard::kPoolExhausted);
  wire::emit(
      wire::Icmpv6{
          .type = Icmpv6Type::kEchoRequest, .identifier = identifier, .sequence = sequence},
      header);
  wire::view_as<Icmpv6Header>(header).checksum = wire::be16(
      sum_message(*request, 0, request->size(), departure.source, departure.destination, context_)
          .checksum());
  return sender_.send(std::move(request), departure, now);
}

void Icmpv6::report(const packet::Packet& offending, const PacketLayout& layout,
                    const Problem& problem, Instant now) {
  if (!may_report(offending, layout, problem)) return;
  const wire::Ipv6Header& header = layout.ipv6(offending.first().bytes());
  const Ipv6Address destination = header.source;
  const auto source = context_.addresses.is_ours(header.destination)
                          ? std::optional(header.destination)
                          : context_.addresses.source_for(destination);
  if (!source) {
    context_.drops.count(Discard::kNoSource);
    return;
  }
  if (!limiter_.allow(destination, now)) {
    context_.drops.count(Discard::kIcmpRateLimited);
    return;
  }
  PacketPtr packet = context_.pool.get();
  if (packet == nullptr) {
    context_.drops.count(Discard::kPoolExhausted);
    return;
  }
  const std::size_t quoted = std::min(layout.l3_size(), kIcmpv6MaxQuote);
  const std::size_t size = sizeof(Icmpv6Header) + quoted;
  const wire::MutableBytes message(packet->append(size), size);
  wire::emit(icmpv6_of(problem), message);
  packet::copy_out(offending, layout.l3, message.subspan(sizeof(Icmpv6Header)), context_.passes);
  wire::view_as<Icmpv6Header>(message).checksum =
      wire::be16(sum_message(*packet, 0, size, *source, destination, context_).checksum());
  (void)sender_.send(  // a refusal is counted there
      std::move(packet),
      {.source = *source, .destination = destination, .protocol = wire::kProtocolIcmpv6}, now);
}

// RFC 4443 §2.4 (e): never about an ICMPv6 error or redirect, nor about a multicast on either
// layer, but for parameter problems of code 2; never to a source that is no single host.
bool Icmpv6::may_report(const packet::Packet& offending, const PacketLayout& layout,
                        const Problem& problem) const {
  constexpr std::uint8_t kUnknownOption = 2;
  const wire::Bytes head = offending.first().bytes();
  const wire::Ipv6Header& header = layout.ipv6(head);
  if (header.source.is_unspecified() || layout.fragment_offset != 0) return false;
  const bool group = layout.cast != wire::LinkCast::kUnicast || header.destination.is_multicast();
  const bool exempt = problem.kind == Problem::Kind::kParameter && problem.code == kUnknownOption;
  if (group && !exempt) return false;
  if (layout.protocol != wire::kProtocolIcmpv6) return true;
  const wire::Bytes message = layout.l4_bytes(head);
  if (message.empty()) return false;
  const auto type = std::to_integer<std::uint8_t>(message.front());
  return !wire::is_icmpv6_error_type(type) && type != wire::kNdpRedirect;
}

}  // namespace tideline::ip
