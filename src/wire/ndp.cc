// SPDX-License-Identifier: Apache-2.0
#include "wire/ndp.h"

#include "wire/icmpv6.h"

namespace tideline::wire {
namespace {

struct RouterAdvertisementHeader {
  std::uint8_t type;
  std::uint8_t code;
  be16 checksum;
  std::uint8_t hop_limit;
  std::uint8_t flags;
  be16 router_lifetime;
  be32 reachable_time;
  be32 retransmit_timer;

  static constexpr std::uint8_t kManaged = 0x80;
  static constexpr std::uint8_t kOther = 0x40;
  static constexpr unsigned kPreferenceShift = 3;
};
static_assert(sizeof(RouterAdvertisementHeader) == 16);

// Solicitation and advertisement.
struct NeighbourHeader {
  std::uint8_t type;
  std::uint8_t code;
  be16 checksum;
  be32 flags;
  Ipv6Address target;

  static constexpr std::uint32_t kRouter = 0x80000000;
  static constexpr std::uint32_t kSolicited = 0x40000000;
  static constexpr std::uint32_t kOverride = 0x20000000;
};
static_assert(sizeof(NeighbourHeader) == 24);

struct RedirectHeader {
  std::uint8_t type;
  std::uint8_t code;
  be16 checksum;
  be32 reserved;
  Ipv6Address target;
  Ipv6Address destination;
};
static_assert(sizeof(RedirectHeader) == 40);

constexpr std::uint8_t kOptionSourceMac = 1;
constexpr std::uint8_t kOptionTargetMac = 2;
constexpr std::uint8_t kOptionPrefix = 3;
constexpr std::uint8_t kOptionMtu = 5;

struct OptionHeader {
  std::uint8_t type;
  std::uint8_t length;  // in units of 8 bytes
};

struct MacOption {
  OptionHeader header;
  MacAddress mac;
};
static_assert(sizeof(MacOption) == 8);

struct MtuOption {
  OptionHeader header;
  be16 reserved;
  be32 mtu;
};
static_assert(sizeof(MtuOption) == 8);

struct PrefixOption {
  OptionHeader header;
  std::uint8_t length;
  std::uint8_t flags;
  be32 valid_lifetime;
  be32 preferred_lifetime;
  be32 reserved;
  Ipv6Address prefix;

  static constexpr std::uint8_t kOnLink = 0x80;
  static constexpr std::uint8_t kAutonomous = 0x40;
};
static_assert(sizeof(PrefixOption) == 32);

// All that a message may carry; each type takes what it knows, the rest is ignored (RFC 4861 §6.1).
struct Options {
  std::optional<MacAddress> source_mac;
  std::optional<MacAddress> target_mac;
  std::optional<std::uint32_t> mtu;
  std::uint8_t prefix_count = 0;
  std::array<NdpPrefix, RouterAdvertisement::kMaxPrefixes> prefixes{};
};

template <typename T>
Parsed<const T*> option_as(Bytes option) {
  if (option.size() != sizeof(T)) return drop(DropReason::kNdpOptionSize);
  return &view_as<T>(option);
}

Parsed<void> parse_prefix(Bytes option, Options& options) {
  const auto prefix = option_as<PrefixOption>(option);
  if (!prefix) return drop(prefix.error());
  const PrefixOption& wire = **prefix;
  if (wire.length > Ipv6Address::kBits) return drop(DropReason::kNdpOptionSize);
  if (options.prefix_count == options.prefixes.size()) return {};
  options.prefixes[options.prefix_count++] = {
      .prefix = {.address = wire.prefix, .length = wire.length},
      .on_link = (wire.flags & PrefixOption::kOnLink) != 0,
      .autonomous = (wire.flags & PrefixOption::kAutonomous) != 0,
      .valid_lifetime = wire.valid_lifetime.value(),
      .preferred_lifetime = wire.preferred_lifetime.value()};
  return {};
}

Parsed<void> parse_option(Bytes option, Options& options) {
  const auto type = view_as<OptionHeader>(option).type;
  if (type == kOptionSourceMac || type == kOptionTargetMac) {
    const auto mac = option_as<MacOption>(option);
    if (!mac) return drop(mac.error());
    (type == kOptionSourceMac ? options.source_mac : options.target_mac) = (*mac)->mac;
  } else if (type == kOptionMtu) {
    const auto mtu = option_as<MtuOption>(option);
    if (!mtu) return drop(mtu.error());
    options.mtu = (*mtu)->mtu.value();
  } else if (type == kOptionPrefix) {
    return parse_prefix(option, options);
  }
  return {};
}

Parsed<Options> parse_options(Bytes bytes) {
  Options options;
  while (!bytes.empty()) {
    if (bytes.size() < sizeof(OptionHeader)) return drop(DropReason::kNdpOptionBeyondMessage);
    const std::size_t size = std::size_t{8} * view_as<OptionHeader>(bytes).length;
    if (size == 0) return drop(DropReason::kNdpOptionLengthZero);
    if (size > bytes.size()) return drop(DropReason::kNdpOptionBeyondMessage);
    const auto parsed = parse_option(bytes.first(size), options);
    if (!parsed) return drop(parsed.error());
    bytes = bytes.subspan(size);
  }
  return options;
}

// A message's fixed part, and the options behind it.
template <typename Header>
struct Split {
  const Header& header;
  Options options;
};

template <typename Header>
Parsed<Split<Header>> split(Bytes message) {
  if (message.size() < sizeof(Header)) return drop(DropReason::kNdpShort);
  const auto options = parse_options(message.subspan(sizeof(Header)));
  if (!options) return drop(options.error());
  return Split<Header>{view_as<Header>(message), *options};
}

// RFC 4861 §6.1.1.
Parsed<Ndp> parse_router_solicitation(Bytes message, const NdpCarrier& carrier) {
  const auto parts = split<Icmpv6Header>(message);
  if (!parts) return drop(parts.error());
  if (carrier.source.is_unspecified() && parts->options.source_mac) {
    return drop(DropReason::kNdpLinkAddressFromUnspecified);
  }
  return RouterSolicitation{.source_mac = parts->options.source_mac};
}

// RFC 4191 §2.2: two bits, of which 10 is to be read as 00.
RouterPreference preference_of(std::uint8_t flags) {
  switch (flags >> RouterAdvertisementHeader::kPreferenceShift & 3) {
    case 1:
      return RouterPreference::kHigh;
    case 3:
      return RouterPreference::kLow;
    default:
      return RouterPreference::kMedium;
  }
}

// RFC 4861 §6.1.2.
Parsed<Ndp> parse_router_advertisement(Bytes message, const NdpCarrier& carrier) {
  const auto parts = split<RouterAdvertisementHeader>(message);
  if (!parts) return drop(parts.error());
  if (!carrier.source.is_link_local()) return drop(DropReason::kNdpSourceNotLinkLocal);
  const RouterAdvertisementHeader& header = parts->header;
  return RouterAdvertisement{
      .hop_limit = header.hop_limit,
      .managed = (header.flags & RouterAdvertisementHeader::kManaged) != 0,
      .other_config = (header.flags & RouterAdvertisementHeader::kOther) != 0,
      .preference = preference_of(header.flags),
      .router_lifetime = header.router_lifetime.value(),
      .reachable_time = header.reachable_time.value(),
      .retransmit_timer = header.retransmit_timer.value(),
      .source_mac = parts->options.source_mac,
      .mtu = parts->options.mtu,
      .prefix_count = parts->options.prefix_count,
      .prefixes = parts->options.prefixes};
}

// RFC 4861 §7.1.1.
Parsed<Ndp> parse_neighbour_solicitation(Bytes message, const NdpCarrier& carrier) {
  const auto parts = split<NeighbourHeader>(message);
  if (!parts) return drop(parts.error());
  if (parts->header.target.is_multicast()) return drop(DropReason::kNdpTargetMulticast);
  if (carrier.source.is_unspecified()) {
    if (!carrier.destination.is_solicited_node()) return drop(DropReason::kNdpProbeDestination);
    if (parts->options.source_mac) return drop(DropReason::kNdpLinkAddressFromUnspecified);
  }
  return NeighbourSolicitation{.target = parts->header.target,
                               .source_mac = parts->options.source_mac};
}

// RFC 4861 §7.1.2.
Parsed<Ndp> parse_neighbour_advertisement(Bytes message, const NdpCarrier& carrier) {
  const auto parts = split<NeighbourHeader>(message);
  if (!parts) return drop(parts.error());
  if (parts->header.target.is_multicast()) return drop(DropReason::kNdpTargetMulticast);
  const std::uint32_t flags = parts->header.flags.value();
  const bool solicited = (flags & NeighbourHeader::kSolicited) != 0;
  if (solicited && carrier.destination.is_multicast()) {
    return drop(DropReason::kNdpSolicitedMulticast);
  }
  return NeighbourAdvertisement{.router = (flags & NeighbourHeader::kRouter) != 0,
                                .solicited = solicited,
                                .override_cache = (flags & NeighbourHeader::kOverride) != 0,
                                .target = parts->header.target,
                                .target_mac = parts->options.target_mac};
}

// RFC 4861 §8.1.
Parsed<Ndp> parse_redirect(Bytes message, const NdpCarrier& carrier) {
  const auto parts = split<RedirectHeader>(message);
  if (!parts) return drop(parts.error());
  if (!carrier.source.is_link_local()) return drop(DropReason::kNdpSourceNotLinkLocal);
  const RedirectHeader& header = parts->header;
  if (header.destination.is_multicast()) return drop(DropReason::kNdpRedirectDestination);
  if (!header.target.is_link_local() && header.target != header.destination) {
    return drop(DropReason::kNdpRedirectTarget);
  }
  return Redirect{.target = header.target,
                  .destination = header.destination,
                  .target_mac = parts->options.target_mac};
}

// Writes a message's parts one behind the other.
class NdpWriter {
 public:
  explicit NdpWriter(MutableBytes out) : out_(out) {}

  template <WireStruct T>
  void put(const T& part) {
    view_as<T>(out_.subspan(size_)) = part;
    size_ += sizeof(T);
  }
  void put_mac(std::uint8_t type, const std::optional<MacAddress>& mac) {
    if (mac) put(MacOption{.header = {.type = type, .length = 1}, .mac = *mac});
  }
  std::size_t size() const { return size_; }

 private:
  MutableBytes out_;
  std::size_t size_ = 0;
};

std::size_t emit_message(const RouterSolicitation& message, NdpWriter writer) {
  writer.put(Icmpv6Header{.type = kNdpRouterSolicitation});
  writer.put_mac(kOptionSourceMac, message.source_mac);
  return writer.size();
}

std::size_t emit_message(const RouterAdvertisement& message, NdpWriter writer) {
  using Header = RouterAdvertisementHeader;
  writer.put(Header{.type = kNdpRouterAdvertisement,
                    .hop_limit = message.hop_limit,
                    .flags = static_cast<std::uint8_t>((message.managed ? Header::kManaged : 0) |
                                                       (message.other_config ? Header::kOther : 0) |
                                                       (static_cast<int>(message.preference) & 3)
                                                           << Header::kPreferenceShift),
                    .router_lifetime = be16(message.router_lifetime),
                    .reachable_time = be32(message.reachable_time),
                    .retransmit_timer = be32(message.retransmit_timer)});
  writer.put_mac(kOptionSourceMac, message.source_mac);
  if (message.mtu) {
    writer.put(MtuOption{.header = {.type = kOptionMtu, .length = 1}, .mtu = be32(*message.mtu)});
  }
  for (std::size_t i = 0; i < message.prefix_count; ++i) {
    const NdpPrefix& prefix = message.prefixes[i];
    writer.put(PrefixOption{
        .header = {.type = kOptionPrefix, .length = sizeof(PrefixOption) / 8},
        .length = prefix.prefix.length,
        .flags = static_cast<std::uint8_t>((prefix.on_link ? PrefixOption::kOnLink : 0) |
                                           (prefix.autonomous ? PrefixOption::kAutonomous : 0)),
        .valid_lifetime = be32(prefix.valid_lifetime),
        .preferred_lifetime = be32(prefix.preferred_lifetime),
        .prefix = prefix.prefix.address});
  }
  return writer.size();
}

std::size_t emit_message(const NeighbourSolicitation& message, NdpWriter writer) {
  writer.put(NeighbourHeader{.type = kNdpNeighbourSolicitation, .target = message.target});
  writer.put_mac(kOptionSourceMac, message.source_mac);
  return writer.size();
}

std::size_t emit_message(const NeighbourAdvertisement& message, NdpWriter writer) {
  writer.put(
      NeighbourHeader{.type = kNdpNeighbourAdvertisement,
                      .flags = be32((message.router ? NeighbourHeader::kRouter : 0) |
                                    (message.solicited ? NeighbourHeader::kSolicited : 0) |
                                    (message.override_cache ? NeighbourHeader::kOverride : 0)),
                      .target = message.target});
  writer.put_mac(kOptionTargetMac, message.target_mac);
  return writer.size();
}

std::size_t emit_message(const Redirect& message, NdpWriter writer) {
  writer.put(RedirectHeader{
      .type = kNdpRedirect, .target = message.target, .destination = message.destination});
  writer.put_mac(kOptionTargetMac, message.target_mac);
  return writer.size();
}

}  // namespace

Parsed<Ndp> parse_ndp(Bytes message, const NdpCarrier& carrier) {
  if (carrier.hop_limit != kNdpHopLimit) return drop(DropReason::kNdpHopLimit);
  if (message.size() < sizeof(Icmpv6Header)) return drop(DropReason::kNdpShort);
  const auto& header = view_as<Icmpv6Header>(message);
  if (header.code != 0) return drop(DropReason::kNdpCode);
  switch (header.type) {
    case kNdpRouterSolicitation:
      return parse_router_solicitation(message, carrier);
    case kNdpRouterAdvertisement:
      return parse_router_advertisement(message, carrier);
    case kNdpNeighbourSolicitation:
      return parse_neighbour_solicitation(message, carrier);
    case kNdpNeighbourAdvertisement:
      return parse_neighbour_advertisement(message, carrier);
    case kNdpRedirect:
      return parse_redirect(message, carrier);
    default:
      return drop(DropReason::kIcmpv6Type);
  }
}

std::size_t emit(const Ndp& ndp, MutableBytes out) {
  return std::visit([out](const auto& message) { return emit_message(message, NdpWriter(out)); },
                    ndp);
}

}  // namespace tideline::wire
