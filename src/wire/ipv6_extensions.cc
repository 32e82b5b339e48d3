// SPDX-License-Identifier: Apache-2.0
#include "wire/ipv6_extensions.h"

#include <algorithm>

#include "wire/ipv6.h"

namespace tideline::wire {
namespace {

constexpr std::uint8_t kOptionPad1 = 0;
constexpr std::uint8_t kOptionPadN = 1;
constexpr std::uint8_t kIpv6RouterAlert = 0x05;
constexpr std::uint8_t kOptionJumbo = 0xc2;

std::unexpected<Refusal> refuse(DropReason reason, std::size_t pointer) {
  return std::unexpected(Refusal{reason, static_cast<std::uint32_t>(pointer)});
}

// RFC 8200 §4.2: the two highest bits of an unknown option say what to do.
std::expected<void, Refusal> check_unknown_option(std::uint8_t type, std::size_t at) {
  switch (type >> 6) {
    case 0:
      return {};
    case 1:
      return refuse(DropReason::kIpv6OptionUnknown, at);
    case 2:
      return refuse(DropReason::kIpv6OptionUnknownReport, at);
    default:
      return refuse(DropReason::kIpv6OptionUnknownReportUnicast, at);
  }
}

// The walk over one packet. A step parses the header at `at_`; `next_at_` is the octet that named
// it.
class Walk {
 public:
  Walk(Bytes head, std::size_t packet_size) : head_(head), packet_size_(packet_size) {
    found_.protocol = view_as<Ipv6Header>(head).next_header;
  }

  std::expected<Ipv6Extensions, Refusal> run() {
    for (unsigned count = 0; is_ipv6_extension(found_.protocol); ++count) {
      if (count == kMaxIpv6Extensions) return refuse(DropReason::kIpv6ExtensionTooMany, next_at_);
      if (const auto stepped = step(); !stepped) return std::unexpected(stepped.error());
      if (stopped_) break;
    }
    if (found_.upper == 0) found_.upper = static_cast<std::uint16_t>(at_);
    return found_;
  }

 private:
  // That `size` bytes from `at_` are part of the packet, and here.
  std::expected<void, Refusal> need(std::size_t size) const {
    if (size > packet_size_ - at_) return refuse(DropReason::kIpv6ExtensionTruncated, next_at_);
    if (size > head_.size() - at_) return refuse(DropReason::kHeadersScattered, next_at_);
    return {};
  }

  std::expected<void, Refusal> step() {
    if (const auto here = need(sizeof(Ipv6FragmentHeader)); !here) return here;
    if (found_.protocol == kProtocolFragment) return step_fragment();
    const auto& extension = view_as<Ipv6ExtensionHeader>(head_.subspan(at_));
    if (const auto here = need(extension.size()); !here) return here;
    std::expected<void, Refusal> checked;
    if (found_.protocol == kProtocolRouting) {
      checked = check_routing();
    } else {
      if (found_.protocol == kProtocolHopByHop && at_ != sizeof(Ipv6Header)) {
        return refuse(DropReason::kIpv6HopByHopMisplaced, next_at_);  // RFC 8200 §4.1
      }
      checked = check_options(extension.size());
    }
    if (!checked) return checked;
    advance(extension.next_header, extension.size());
    return {};
  }

  void advance(std::uint8_t next_header, std::size_t size) {
    found_.protocol = next_header;
    next_at_ = at_;
    at_ += size;
  }

  // RFC 8200 §4.4: with no segments left a host reads on, whatever the type; RFC 5095 says the same
  // of type 0.
  std::expected<void, Refusal> check_routing() const {
    const auto& routing = view_as<Ipv6RoutingHeader>(head_.subspan(at_));
    if (routing.segments_left == 0) return {};
    return refuse(
        routing.type == 0 ? DropReason::kIpv6RoutingType0 : DropReason::kIpv6RoutingNotOurs,
        at_ + offsetof(Ipv6RoutingHeader, type));
  }

  std::expected<void, Refusal> check_options(std::size_t extension_size) {
    Bytes options = head_.subspan(at_, extension_size).subspan(sizeof(Ipv6ExtensionHeader));
    std::size_t option_at = at_ + sizeof(Ipv6ExtensionHeader);
    while (!options.empty()) {
      std::size_t size = 1;
      if (std::to_integer<std::uint8_t>(options[0]) != kOptionPad1) {
        if (options.size() < 2) return refuse(DropReason::kIpv6OptionBeyondHeader, option_at);
        size = 2 + std::to_integer<std::size_t>(options[1]);
        if (size > options.size()) return refuse(DropReason::kIpv6OptionBeyondHeader, option_at);
        const auto checked = check_option(options.first(size), option_at);
        if (!checked) return checked;
      }
      options = options.subspan(size);
      option_at += size;
    }
    return {};
  }

  std::expected<void, Refusal> check_option(Bytes option, std::size_t option_at) {
    const auto type = std::to_integer<std::uint8_t>(option[0]);
    switch (type) {
      case kOptionPadN:
        return {};
      case kIpv6RouterAlert:
        // Known where it belongs; its action bits tell others to skip it.
        if (found_.protocol != kProtocolHopByHop) return {};
        if (option.size() != 4) return refuse(DropReason::kIpv6OptionLength, option_at + 1);
        found_.router_alert = view_as<be16>(option.subspan(2)).value();
        return {};
      case kOptionJumbo:
        if (found_.protocol != kProtocolHopByHop) break;
        return refuse(DropReason::kIpv6Jumbogram, option_at);
      default:
        break;
    }
    return check_unknown_option(type, option_at);
  }

  std::expected<void, Refusal> step_fragment() {
    if (found_.fragment != 0) return refuse(DropReason::kIpv6FragmentNested, next_at_);
    const auto& header = view_as<Ipv6FragmentHeader>(head_.subspan(at_));
    found_.fragment = static_cast<std::uint16_t>(at_);
    found_.fragment_next_at = static_cast<std::uint16_t>(next_at_);
    const bool atomic = header.offset() == 0 && !header.more();
    const std::size_t data = at_ + sizeof(Ipv6FragmentHeader);
    if (!atomic) {
      const auto checked = check_fragment(header, packet_size_ - data);
      if (!checked) return checked;
      if (header.offset() == 0) {
        if (const auto complete = check_first_fragment(header); !complete) return complete;
      }
      found_.upper = static_cast<std::uint16_t>(data);
      stopped_ = true;
    }
    advance(header.next_header, sizeof(Ipv6FragmentHeader));
    return {};
  }

  // RFC 8200 §4.5.
  std::expected<void, Refusal> check_fragment(const Ipv6FragmentHeader& header,
                                              std::size_t data_size) const {
    if (data_size == 0) return refuse(DropReason::kIpv6FragmentEmpty, at_);
    if (header.more() && data_size % 8 != 0) {
      return refuse(DropReason::kIpv6FragmentUnaligned, offsetof(Ipv6Header, payload_length));
    }
    // What is reassembled must fit a payload length, with the headers before the fragment's.
    if (at_ - sizeof(Ipv6Header) + header.offset() + data_size > kMaxDatagram) {
      return refuse(DropReason::kIpv6FragmentBeyondMaximum,
                    at_ + offsetof(Ipv6FragmentHeader, offset_more));
    }
    return {};
  }

  // RFC 7112 §5: the first fragment holds all headers. Only lengths are looked at here; the headers
  // themselves are checked when the packet has been reassembled.
  std::expected<void, Refusal> check_first_fragment(const Ipv6FragmentHeader& fragment) const {
    std::uint8_t protocol = fragment.next_header;
    std::size_t at = at_ + sizeof(Ipv6FragmentHeader);
    const auto incomplete = refuse(DropReason::kIpv6FirstFragmentIncomplete, 0);
    for (unsigned count = 0; is_ipv6_extension(protocol); ++count) {
      if (count == kMaxIpv6Extensions) return refuse(DropReason::kIpv6ExtensionTooMany, at_);
      if (protocol == kProtocolFragment) return refuse(DropReason::kIpv6FragmentNested, at_);
      if (packet_size_ - at < sizeof(Ipv6FragmentHeader)) return incomplete;
      if (head_.size() - at < sizeof(Ipv6FragmentHeader)) {
        return refuse(DropReason::kHeadersScattered, at_);
      }
      const auto& extension = view_as<Ipv6ExtensionHeader>(head_.subspan(at));
      if (packet_size_ - at < extension.size()) return incomplete;
      if (head_.size() - at < extension.size()) return refuse(DropReason::kHeadersScattered, at_);
      protocol = extension.next_header;
      at += extension.size();
    }
    if (packet_size_ - at < smallest_header(protocol)) return incomplete;
    return {};
  }

  static constexpr std::size_t smallest_header(std::uint8_t protocol) {
    switch (protocol) {
      case kProtocolTcp:
        return 20;
      case kProtocolUdp:
      case kProtocolIcmpv6:
        return 8;
      default:
        return 0;
    }
  }

  Bytes head_;
  std::size_t packet_size_;
  std::size_t at_ = sizeof(Ipv6Header);
  std::size_t next_at_ = offsetof(Ipv6Header, next_header);
  bool stopped_ = false;
  Ipv6Extensions found_;
};

}  // namespace

std::expected<Ipv6Extensions, Refusal> parse_ipv6_extensions(Bytes head, std::size_t packet_size) {
  return Walk(head.first(std::min(head.size(), packet_size)), packet_size).run();
}

std::optional<Ipv6UpperLayer> find_ipv6_upper_layer(Bytes packet) {
  if (packet.size() < sizeof(Ipv6Header)) return std::nullopt;
  std::uint8_t protocol = view_as<Ipv6Header>(packet).next_header;
  std::size_t at = sizeof(Ipv6Header);
  for (unsigned count = 0; is_ipv6_extension(protocol); ++count) {
    const Bytes rest = packet.subspan(std::min(at, packet.size()));
    if (count == kMaxIpv6Extensions || rest.size() < sizeof(Ipv6FragmentHeader)) {
      return std::nullopt;
    }
    if (protocol == kProtocolFragment) {
      const auto& fragment = view_as<Ipv6FragmentHeader>(rest);
      if (fragment.offset() != 0) return std::nullopt;
      protocol = fragment.next_header;
      at += sizeof(Ipv6FragmentHeader);
    } else {
      const auto& extension = view_as<Ipv6ExtensionHeader>(rest);
      protocol = extension.next_header;
      at += extension.size();
    }
  }
  if (at > packet.size()) return std::nullopt;
  return Ipv6UpperLayer{.protocol = protocol, .at = static_cast<std::uint16_t>(at)};
}

Parsed<Ipv6Fragment> parse_ipv6_fragment(Bytes bytes) {
  if (bytes.size() < sizeof(Ipv6FragmentHeader)) return drop(DropReason::kIpv6ExtensionTruncated);
  const auto& header = view_as<Ipv6FragmentHeader>(bytes);
  return Ipv6Fragment{.next_header = header.next_header,
                      .offset = header.offset(),
                      .more = header.more(),
                      .identification = header.identification.value()};
}

std::size_t emit(const Ipv6Fragment& fragment, MutableBytes out) {
  CHECK(fragment.offset % 8 == 0, "fragment at {}", fragment.offset);
  view_as<Ipv6FragmentHeader>(out) = {
      .next_header = fragment.next_header,
      .reserved = 0,
      .offset_more = be16(static_cast<std::uint16_t>(fragment.offset | (fragment.more ? 1 : 0))),
      .identification = be32(fragment.identification)};
  return sizeof(Ipv6FragmentHeader);
}

std::size_t emit_router_alert(std::uint8_t next_header, std::uint16_t value, MutableBytes out) {
  constexpr std::size_t kSize = 8;
  CHECK(out.size() >= kSize);
  view_as<Ipv6ExtensionHeader>(out) = {.next_header = next_header, .length = 0};
  out[2] = std::byte{kIpv6RouterAlert};
  out[3] = std::byte{2};
  view_as<be16>(out.subspan(4)) = be16(value);
  out[6] = std::byte{kOptionPadN};
  out[7] = std::byte{0};
  return kSize;
}

std::optional<std::uint8_t> parameter_problem_code(DropReason reason, bool to_multicast) {
  // Codes of RFC 4443 §3.4 and RFC 7112 §6.
  constexpr std::uint8_t kErroneousHeader = 0;
  constexpr std::uint8_t kUnknownNextHeader = 1;
  constexpr std::uint8_t kUnknownOption = 2;
  constexpr std::uint8_t kFirstFragmentIncomplete = 3;
  switch (reason) {
    case DropReason::kIpv6OptionUnknownReport:
      return kUnknownOption;  // even to a multicast
    case DropReason::kIpv6OptionUnknownReportUnicast:
      if (to_multicast) return std::nullopt;
      return kUnknownOption;
    case DropReason::kIpv6HopByHopMisplaced:
      if (to_multicast) return std::nullopt;
      return kUnknownNextHeader;
    case DropReason::kIpv6RoutingType0:
    case DropReason::kIpv6RoutingNotOurs:
    case DropReason::kIpv6OptionLength:
    case DropReason::kIpv6FragmentUnaligned:
    case DropReason::kIpv6FragmentBeyondMaximum:
      if (to_multicast) return std::nullopt;
      return kErroneousHeader;
    case DropReason::kIpv6FirstFragmentIncomplete:
      if (to_multicast) return std::nullopt;
      return kFirstFragmentIncomplete;
    default:
      return std::nullopt;
  }
}

}  // namespace tideline::wire
