// SPDX-License-Identifier: Apache-2.0
#include "wire/icmp.h"

#include "wire/ipv4.h"

namespace tideline::wire {
namespace {

// A quoted header has had its TTL and checksum changed on the way, and the packet is cut: so it
// gets only the checks that the lookup depends on.
Parsed<Ipv4Quote> parse_quote(Bytes quoted) {
  if (quoted.size() < sizeof(Ipv4Header)) return drop(DropReason::kIcmpQuoteShort);
  const auto& header = view_as<Ipv4Header>(quoted);
  const std::size_t header_size = header.header_size();
  if (header.version() != 4 || header_size < sizeof(Ipv4Header) ||
      header.total_length.value() < header_size) {
    return drop(DropReason::kIcmpQuoteHeader);
  }
  if (quoted.size() < header_size + sizeof(QuotedTransport)) {
    return drop(DropReason::kIcmpQuoteShort);
  }
  if (header.fragment_offset() != 0) return drop(DropReason::kIcmpQuoteFragment);
  return Ipv4Quote{.source = header.source,
                   .destination = header.destination,
                   .protocol = header.protocol,
                   .transport = view_as<QuotedTransport>(quoted.subspan(header_size))};
}

Parsed<Icmp> parse_error(Icmp icmp, Bytes message) {
  const auto quote = parse_quote(message.subspan(sizeof(IcmpHeader)));
  if (!quote) return drop(quote.error());
  icmp.quote = *quote;
  const auto& header = view_as<IcmpHeader>(message);
  if (icmp.type == IcmpType::kUnreachable && icmp.code == kIcmpFragmentationNeeded) {
    icmp.next_hop_mtu = header.low.value();
    // Zero is what routers older than RFC 1191 say, and what attackers say: not believed.
    if (icmp.next_hop_mtu < kIpv4MinimumMtu) return drop(DropReason::kIcmpMtu);
  }
  if (icmp.type == IcmpType::kParameterProblem) {
    icmp.pointer = static_cast<std::uint8_t>(header.high.value() >> 8);
  }
  if (icmp.type == IcmpType::kRedirect) {
    icmp.gateway = Ipv4Address(std::uint32_t{header.high.value()} << 16 | header.low.value());
    if (icmp.code > kIcmpLastRedirect) return drop(DropReason::kIcmpRedirectCode);
  }
  return icmp;
}

// RFC 1122 §3.2.2: what a host need not or must not obey, each with a counter of its own.
DropReason reason_to_ignore(std::uint8_t type) {
  switch (type) {
    case 4:
      return DropReason::kIcmpSourceQuench;  // RFC 6633 §3
    case 13:
    case 14:
      return DropReason::kIcmpTimestamp;
    case 17:
    case 18:
      return DropReason::kIcmpAddressMask;
    default:
      return DropReason::kIcmpType;
  }
}

}  // namespace

Parsed<Icmp> parse_icmp(Bytes message) {
  if (message.size() < sizeof(IcmpHeader)) return drop(DropReason::kIcmpShort);
  const auto& header = view_as<IcmpHeader>(message);
  Icmp icmp{.type = static_cast<IcmpType>(header.type),
            .code = header.code,
            .checksum = header.checksum.value()};
  switch (icmp.type) {
    case IcmpType::kEchoRequest:
    case IcmpType::kEchoReply:
      icmp.identifier = header.high.value();
      icmp.sequence = header.low.value();
      return icmp;
    case IcmpType::kUnreachable:
    case IcmpType::kRedirect:
    case IcmpType::kTimeExceeded:
    case IcmpType::kParameterProblem:
      return parse_error(icmp, message);
  }
  return drop(reason_to_ignore(header.type));
}

Parsed<void> check_icmp_checksum(const PartialChecksum& sum) {
  if (!sum.valid()) return drop(DropReason::kIcmpChecksum);
  return {};
}

std::size_t emit(const Icmp& icmp, MutableBytes out) {
  auto& header = view_as<IcmpHeader>(out);
  header = {.type = static_cast<std::uint8_t>(icmp.type),
            .code = icmp.code,
            .checksum = be16(icmp.checksum),
            .high = be16(icmp.identifier),
            .low = be16(icmp.sequence)};
  if (icmp.type == IcmpType::kUnreachable) header.low = be16(icmp.next_hop_mtu);
  if (icmp.type == IcmpType::kRedirect) {
    header.high = be16(static_cast<std::uint16_t>(icmp.gateway.value() >> 16));
    header.low = be16(static_cast<std::uint16_t>(icmp.gateway.value()));
  }
  if (icmp.type == IcmpType::kParameterProblem) {
    header.high = be16(static_cast<std::uint16_t>(icmp.pointer << 8));
  }
  return sizeof(IcmpHeader);
}

}  // namespace tideline::wire
