// SPDX-License-Identifier: Apache-2.0
#include "wire/ipv4.h"

#include "wire/checksum.h"
#include "wire/protocol.h"

namespace tideline::wire {
namespace {

constexpr std::uint8_t kOptionEnd = 0;
constexpr std::uint8_t kOptionNop = 1;
constexpr std::uint8_t kOptionRecordRoute = 7;
constexpr std::uint8_t kOptionTimestamp = 68;
constexpr std::uint8_t kOptionLooseSourceRoute = 131;
constexpr std::uint8_t kOptionStrictSourceRoute = 137;
constexpr std::uint8_t kOptionRouterAlert = 148;

constexpr std::uint8_t byte_at(Bytes bytes, std::size_t i) {
  return std::to_integer<std::uint8_t>(bytes[i]);
}

// The pointer counts from 1, at the option's type; one past the end means that the list is full.
Parsed<void> check_pointer(Bytes option, std::uint8_t minimum) {
  if (option.size() < 3) return drop(DropReason::kIpv4OptionLength);
  const std::size_t pointer = byte_at(option, 2);
  if (pointer < minimum || pointer > option.size() + 1) return drop(DropReason::kIpv4OptionPointer);
  return {};
}

Parsed<void> check_option(Bytes option) {
  switch (byte_at(option, 0)) {
    case kOptionRecordRoute:
      return check_pointer(option, 4);
    case kOptionTimestamp:
      // RFC 791 §3.1: flags follow the pointer, so the least legal value is 5.
      if (option.size() < 4) return drop(DropReason::kIpv4OptionLength);
      return check_pointer(option, 5);
    case kOptionLooseSourceRoute:
    case kOptionStrictSourceRoute:
      return drop(DropReason::kIpv4SourceRoute);  // RFC 7126 §4.3, §4.4
    case kOptionRouterAlert:
      if (option.size() != 4) return drop(DropReason::kIpv4OptionLength);
      return {};
    default:
      return {};  // RFC 1122 §3.2.1.8: unknown options are passed over
  }
}

// RFC 1122 §3.2.1.3: what no host sends from, and what never appears on a wire.
Parsed<void> check_addresses(const Ipv4Header& header) {
  const Ipv4Address source = header.source;
  if (source.is_unspecified()) return drop(DropReason::kIpv4SourceUnspecified);
  if (source.is_loopback()) return drop(DropReason::kIpv4SourceLoopback);
  if (source.bytes()[0] >= 224) {
    if (source.is_multicast()) return drop(DropReason::kIpv4SourceMulticast);
    return drop(source.is_limited_broadcast() ? DropReason::kIpv4SourceBroadcast
                                              : DropReason::kIpv4SourceReserved);
  }
  if (header.destination.is_loopback()) return drop(DropReason::kIpv4DestinationLoopback);
  return {};
}

// RFC 791 §3.2.
Parsed<void> check_fragment(const Ipv4Header& header, std::size_t payload_size) {
  if (payload_size == 0) return drop(DropReason::kIpv4FragmentEmpty);
  if (header.more_fragments() && payload_size % 8 != 0) {
    return drop(DropReason::kIpv4FragmentUnaligned);
  }
  // The reassembled datagram must fit its own total length.
  if (header.header_size() + header.fragment_offset() + payload_size > kMaxDatagram) {
    return drop(DropReason::kIpv4FragmentBeyondMaximum);
  }
  return {};
}

bool header_checksum_valid(Bytes header) {
  const Bytes options = header.subspan(sizeof(Ipv4Header));
  return fold_sum(sum_ipv4_header(header.data()) + sum_short(options.data(), options.size())) ==
         0xffff;
}

}  // namespace

Parsed<void> check_ipv4_options(Bytes options) {
  while (!options.empty()) {
    const std::uint8_t type = byte_at(options, 0);
    if (type == kOptionEnd) return {};
    if (type == kOptionNop) {
      options = options.subspan(1);
      continue;
    }
    if (options.size() < 2) return drop(DropReason::kIpv4OptionBeyondHeader);
    const std::size_t length = byte_at(options, 1);
    if (length < 2) return drop(DropReason::kIpv4OptionLength);
    if (length > options.size()) return drop(DropReason::kIpv4OptionBeyondHeader);
    if (const auto checked = check_option(options.first(length)); !checked) return checked;
    options = options.subspan(length);
  }
  return {};
}

std::optional<std::uint8_t> ipv4_option_problem_at(Bytes header) {
  constexpr std::size_t kLength = 1;
  constexpr std::size_t kPointer = 2;
  std::size_t at = sizeof(Ipv4Header);
  while (at < header.size() && byte_at(header, at) != kOptionEnd) {
    if (byte_at(header, at) == kOptionNop) {
      ++at;
      continue;
    }
    const Bytes rest = header.subspan(at);
    if (rest.size() < 2) return static_cast<std::uint8_t>(at);
    const std::size_t length = byte_at(rest, kLength);
    if (length < 2 || length > rest.size()) return static_cast<std::uint8_t>(at + kLength);
    if (const auto checked = check_option(rest.first(length)); !checked) {
      if (checked.error() == DropReason::kIpv4SourceRoute) return std::nullopt;
      const bool pointer = checked.error() == DropReason::kIpv4OptionPointer;
      return static_cast<std::uint8_t>(at + (pointer ? kPointer : kLength));
    }
    at += length;
  }
  return std::nullopt;
}

Parsed<std::uint16_t> check_ipv4(Bytes head, std::size_t size) {
  if (size < sizeof(Ipv4Header)) return drop(DropReason::kIpv4Short);
  if (head.size() < sizeof(Ipv4Header)) return drop(DropReason::kHeadersScattered);
  const auto& header = view_as<Ipv4Header>(head);
  const std::size_t header_size = header.header_size();
  const std::size_t total_length = header.total_length.value();
  if (header.version() != 4) return drop(DropReason::kIpv4Version);
  if (header_size < sizeof(Ipv4Header)) return drop(DropReason::kIpv4HeaderLength);
  if (header_size > size) return drop(DropReason::kIpv4HeaderBeyondPacket);
  if (total_length < header_size) return drop(DropReason::kIpv4LengthBelowHeader);
  if (total_length > size) return drop(DropReason::kIpv4LengthBeyondFrame);
  if (head.size() < header_size) return drop(DropReason::kHeadersScattered);
  if (!header_checksum_valid(head.first(header_size))) return drop(DropReason::kIpv4Checksum);
  if (const auto checked = check_addresses(header); !checked) return drop(checked.error());
  if (header.is_fragment()) {
    const auto checked = check_fragment(header, total_length - header_size);
    if (!checked) return drop(checked.error());
  }
  if (header_size > sizeof(Ipv4Header)) {
    const Bytes options = head.first(header_size).subspan(sizeof(Ipv4Header));
    if (const auto checked = check_ipv4_options(options); !checked) return drop(checked.error());
  }
  return static_cast<std::uint16_t>(header_size);
}

Parsed<Ipv4> parse_ipv4(Bytes packet) {
  const auto header_size = check_ipv4(packet, packet.size());
  if (!header_size) return drop(header_size.error());
  const auto& header = view_as<Ipv4Header>(packet);
  Ipv4 ipv4{.traffic_class = header.traffic_class,
            .total_length = header.total_length.value(),
            .identification = header.identification.value(),
            .dont_fragment = header.dont_fragment(),
            .more_fragments = header.more_fragments(),
            .fragment_offset = header.fragment_offset(),
            .ttl = header.ttl,
            .protocol = header.protocol,
            .source = header.source,
            .destination = header.destination};
  const Bytes options = packet.first(*header_size).subspan(sizeof(Ipv4Header));
  ipv4.options.size = static_cast<std::uint8_t>(options.size());
  std::ranges::copy(options, ipv4.options.bytes.begin());
  return ipv4;
}

std::optional<std::uint16_t> Ipv4Options::router_alert() const {
  for (Bytes rest = view(); rest.size() >= 4 && byte_at(rest, 0) != kOptionEnd;) {
    const std::uint8_t type = byte_at(rest, 0);
    if (type == kOptionRouterAlert) return view_as<be16>(rest.subspan(2)).value();
    const std::size_t length = type == kOptionNop ? 1 : byte_at(rest, 1);
    if (length == 0 || length > rest.size()) break;
    rest = rest.subspan(length);
  }
  return std::nullopt;
}

Ipv4Options Ipv4Options::with_router_alert(std::uint16_t value) {
  Ipv4Options options{.size = 4, .bytes = {std::byte{kOptionRouterAlert}, std::byte{4}}};
  view_as<be16>(MutableBytes(options.bytes).subspan(2)) = be16(value);
  return options;
}

std::size_t emit(const Ipv4& ipv4, MutableBytes out) {
  const std::size_t header_size = ipv4.header_size();
  CHECK(out.size() >= header_size && ipv4.options.size % 4 == 0 && ipv4.fragment_offset % 8 == 0,
        "{} bytes of room, {} of options, fragment at {}", out.size(), ipv4.options.size,
        ipv4.fragment_offset);
  auto& header = view_as<Ipv4Header>(out);
  header = {.version_ihl = static_cast<std::uint8_t>(0x40 | header_size / 4),
            .traffic_class = ipv4.traffic_class,
            .total_length = be16(ipv4.total_length),
            .identification = be16(ipv4.identification),
            .flags_fragment = be16(static_cast<std::uint16_t>(
                (ipv4.dont_fragment ? Ipv4Header::kDontFragment : 0) |
                (ipv4.more_fragments ? Ipv4Header::kMoreFragments : 0) | ipv4.fragment_offset / 8)),
            .ttl = ipv4.ttl,
            .protocol = ipv4.protocol,
            .checksum = be16(0),
            .source = ipv4.source,
            .destination = ipv4.destination};
  std::ranges::copy(ipv4.options.view(),
                    out.begin() + static_cast<std::ptrdiff_t>(sizeof(Ipv4Header)));
  header.checksum = be16(checksum(out.first(header_size)));
  return header_size;
}

}  // namespace tideline::wire
