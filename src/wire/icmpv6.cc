// SPDX-License-Identifier: Apache-2.0
#include "wire/icmpv6.h"

#include "wire/ipv6.h"
#include "wire/ipv6_extensions.h"
#include "wire/protocol.h"

namespace tideline::wire {
namespace {

// Where the quoted packet's transport header starts. We have sent that packet, so its extension
// headers are skipped by length alone.
Parsed<std::size_t> skip_quoted_extensions(Bytes quoted, std::uint8_t& protocol) {
  std::size_t at = sizeof(Ipv6Header);
  for (unsigned count = 0; count <= kMaxIpv6Extensions; ++count) {
    if (!is_ipv6_extension(protocol)) return at;
    const Bytes rest = quoted.subspan(at);
    if (rest.size() < sizeof(Ipv6FragmentHeader)) return drop(DropReason::kIcmpv6QuoteShort);
    std::size_t size = sizeof(Ipv6FragmentHeader);
    if (protocol == kProtocolFragment) {
      if (view_as<Ipv6FragmentHeader>(rest).offset() != 0) {
        return drop(DropReason::kIcmpv6QuoteFragment);
      }
    } else {
      size = view_as<Ipv6ExtensionHeader>(rest).size();
    }
    if (rest.size() < size) return drop(DropReason::kIcmpv6QuoteShort);
    protocol = std::to_integer<std::uint8_t>(rest[0]);
    at += size;
  }
  return drop(DropReason::kIcmpv6QuoteHeader);
}

Parsed<Ipv6Quote> parse_quote(Bytes quoted) {
  if (quoted.size() < sizeof(Ipv6Header)) return drop(DropReason::kIcmpv6QuoteShort);
  const auto& header = view_as<Ipv6Header>(quoted);
  if (header.version() != 6) return drop(DropReason::kIcmpv6QuoteHeader);
  Ipv6Quote quote{.source = header.source,
                  .destination = header.destination,
                  .protocol = header.next_header,
                  .transport = {}};
  const auto transport = skip_quoted_extensions(quoted, quote.protocol);
  if (!transport) return drop(transport.error());
  const Bytes rest = quoted.subspan(*transport);
  if (rest.size() < sizeof(QuotedTransport)) return drop(DropReason::kIcmpv6QuoteShort);
  quote.transport = view_as<QuotedTransport>(rest);
  return quote;
}

Parsed<Icmpv6> parse_error(Icmpv6 icmpv6, Bytes message) {
  const auto quote = parse_quote(message.subspan(sizeof(Icmpv6Header)));
  if (!quote) return drop(quote.error());
  icmpv6.quote = *quote;
  const std::uint32_t body = view_as<Icmpv6Header>(message).body.value();
  if (icmpv6.type == Icmpv6Type::kParameterProblem) icmpv6.pointer = body;
  if (icmpv6.type == Icmpv6Type::kPacketTooBig) {
    icmpv6.mtu = body;
    if (icmpv6.mtu < kIpv6MinimumMtu) return drop(DropReason::kIcmpv6Mtu);  // RFC 8201 §4
  }
  return icmpv6;
}

}  // namespace

Parsed<Icmpv6> parse_icmpv6(Bytes message) {
  if (message.size() < sizeof(Icmpv6Header)) return drop(DropReason::kIcmpv6Short);
  const auto& header = view_as<Icmpv6Header>(message);
  Icmpv6 icmpv6{.type = static_cast<Icmpv6Type>(header.type),
                .code = header.code,
                .checksum = header.checksum.value()};
  switch (icmpv6.type) {
    case Icmpv6Type::kEchoRequest:
    case Icmpv6Type::kEchoReply:
      icmpv6.identifier = static_cast<std::uint16_t>(header.body.value() >> 16);
      icmpv6.sequence = static_cast<std::uint16_t>(header.body.value());
      return icmpv6;
    case Icmpv6Type::kUnreachable:
    case Icmpv6Type::kPacketTooBig:
    case Icmpv6Type::kTimeExceeded:
    case Icmpv6Type::kParameterProblem:
      return parse_error(icmpv6, message);
  }
  // RFC 4443 §2.4 (a), (b).
  if (is_icmpv6_error_type(header.type)) return parse_error(icmpv6, message);
  return drop(DropReason::kIcmpv6Type);
}

Parsed<void> check_icmpv6_checksum(const PartialChecksum& sum) {
  if (!sum.valid()) return drop(DropReason::kIcmpv6Checksum);
  return {};
}

std::size_t emit(const Icmpv6& icmpv6, MutableBytes out) {
  std::uint32_t body = std::uint32_t{icmpv6.identifier} << 16 | icmpv6.sequence;
  if (icmpv6.type == Icmpv6Type::kPacketTooBig) body = icmpv6.mtu;
  if (icmpv6.type == Icmpv6Type::kParameterProblem) body = icmpv6.pointer;
  view_as<Icmpv6Header>(out) = {.type = static_cast<std::uint8_t>(icmpv6.type),
                                .code = icmpv6.code,
                                .checksum = be16(icmpv6.checksum),
                                .body = be32(body)};
  return sizeof(Icmpv6Header);
}

}  // namespace tideline::wire
