// SPDX-License-Identifier: Apache-2.0
#include "wire/ndp.h"

#include <gtest/gtest.h>

#include "wire/ipv6.h"
#include "wire/test_bytes.h"
#include "wire/test_packets.h"

namespace tideline::wire {
namespace {

// A message with the header that carried it.
struct Carried {
  explicit Carried(const packets::Sample& sample) {
    const ByteVector packet = from_hex(sample.hex);
    const auto ipv6 = parse_ipv6(packet).value();
    carrier = {.source = ipv6.source, .destination = ipv6.destination, .hop_limit = ipv6.hop_limit};
    message = behind(packet, 40);
  }
  Parsed<Ndp> parse() const { return parse_ndp(message, carrier); }
  DropReason reason() const { return parse().error(); }

  ByteVector message;
  NdpCarrier carrier;
};

constexpr std::array<std::uint8_t, 6> kMacBytes{2, 0, 0, 0, 0, 1};
const MacAddress kMac(kMacBytes);

template <typename T>
T read(const packets::Sample& sample) {
  return std::get<T>(Carried(sample).parse().value());
}

TEST(Ndp, ReadsARouterSolicitation) {
  EXPECT_EQ(read<RouterSolicitation>(packets::kNdpRouterSolicitation).source_mac, kMac);
}

TEST(Ndp, ReadsARouterAdvertisement) {
  const auto ra = read<RouterAdvertisement>(packets::kNdpRouterAdvertisement);
  EXPECT_EQ(ra.hop_limit, 64);
  EXPECT_TRUE(ra.managed);
  EXPECT_FALSE(ra.other_config);
  EXPECT_EQ(ra.router_lifetime, 1800);
  EXPECT_EQ(ra.reachable_time, 30000U);
  EXPECT_EQ(ra.retransmit_timer, 1000U);
  EXPECT_EQ(ra.source_mac, kMac);
  EXPECT_EQ(ra.mtu, 1492U);
  ASSERT_EQ(ra.prefix_count, 1);
  EXPECT_EQ(ra.prefixes[0].prefix.to_text(), "2001:db8::/64");
  EXPECT_TRUE(ra.prefixes[0].on_link && ra.prefixes[0].autonomous);
  EXPECT_EQ(ra.prefixes[0].valid_lifetime, 86400U);
  EXPECT_EQ(ra.prefixes[0].preferred_lifetime, 14400U);
}

TEST(Ndp, ReadsNeighbourMessages) {
  const auto ns = read<NeighbourSolicitation>(packets::kNdpNeighbourSolicitation);
  EXPECT_EQ(ns.target.to_text(), "fe80::2");
  EXPECT_EQ(ns.source_mac, kMac);
  const auto na = read<NeighbourAdvertisement>(packets::kNdpNeighbourAdvertisement);
  EXPECT_FALSE(na.router);
  EXPECT_TRUE(na.solicited && na.override_cache);
  EXPECT_EQ(na.target_mac, kMac);
}

TEST(Ndp, ReadsARedirect) {
  const auto redirect = read<Redirect>(packets::kNdpRedirect);
  EXPECT_EQ(redirect.target.to_text(), "fe80::9");
  EXPECT_EQ(redirect.destination.to_text(), "2001:db8:7::1");
  EXPECT_EQ(redirect.target_mac, kMac);
}

TEST(Ndp, WritesWhatItRead) {
  for (const auto& sample : packets::kNdpAll) {
    const Carried carried(sample);
    ByteVector written(kMaxNdpSize);
    written.resize(emit(carried.parse().value(), written));
    // All but the checksum; a redirect's quoted packet is not kept.
    const ByteVector expected = with(cut(carried.message, written.size()), 2, {0, 0});
    EXPECT_EQ(written, expected) << sample.name;
    EXPECT_EQ(parse_ndp(written, carried.carrier), carried.parse()) << sample.name;
  }
}

TEST(Ndp, MessageFromBeyondTheLinkIsDropped) {
  for (const auto& sample : packets::kNdpAll) {
    Carried carried(sample);
    carried.carrier.hop_limit = 254;
    EXPECT_EQ(carried.reason(), DropReason::kNdpHopLimit);
  }
}

TEST(Ndp, CodeOtherThan0IsDropped) {
  for (const auto& sample : packets::kNdpAll) {
    Carried carried(sample);
    carried.message = with(carried.message, 1, {1});
    EXPECT_EQ(carried.reason(), DropReason::kNdpCode);
  }
}

TEST(Ndp, TruncatedIsDropped) {
  for (const auto& sample : packets::kNdpAll) {
    Carried carried(sample);
    const ByteVector whole = carried.message;
    for (std::size_t size = 0; size < whole.size(); ++size) {
      carried.message = cut(whole, size);
      const auto parsed = carried.parse();
      // Only a cut between two options leaves a valid message.
      if (parsed) {
        EXPECT_EQ(size % 8, 0U);
        continue;
      }
      EXPECT_TRUE(parsed.error() == DropReason::kNdpShort ||
                  parsed.error() == DropReason::kNdpOptionBeyondMessage)
          << name_of(parsed.error());
    }
  }
}

TEST(Ndp, OptionOfLength0IsDropped) {
  Carried carried(packets::kNdpNeighbourSolicitation);
  carried.message = with(carried.message, 25, {0});
  EXPECT_EQ(carried.reason(), DropReason::kNdpOptionLengthZero);
}

TEST(Ndp, OptionRunningPastTheMessageIsDropped) {
  Carried carried(packets::kNdpNeighbourSolicitation);
  carried.message = with(carried.message, 25, {2});
  EXPECT_EQ(carried.reason(), DropReason::kNdpOptionBeyondMessage);
}

TEST(Ndp, OptionOfTheWrongSizeIsDropped) {
  Carried carried(packets::kNdpNeighbourSolicitation);
  carried.message = with(carried.message + ByteVector(8), 25, {2});
  EXPECT_EQ(carried.reason(), DropReason::kNdpOptionSize);
  Carried advertisement(packets::kNdpRouterAdvertisement);
  // The prefix option is the last 32 bytes; its third is the prefix length.
  advertisement.message = with(advertisement.message, advertisement.message.size() - 30, {129});
  EXPECT_EQ(advertisement.reason(), DropReason::kNdpOptionSize);
}

TEST(Ndp, UnknownOptionIsPassedOver) {
  Carried carried(packets::kNdpNeighbourSolicitation);
  carried.message = with(carried.message, 24, {200});
  EXPECT_EQ(std::get<NeighbourSolicitation>(carried.parse().value()).source_mac, std::nullopt);
}

TEST(Ndp, MorePrefixesThanWeKeepAreIgnored) {
  Carried carried(packets::kNdpRouterAdvertisement);
  const ByteVector prefix = behind(carried.message, carried.message.size() - 32);
  for (int i = 0; i < 20; ++i) carried.message = carried.message + prefix;
  EXPECT_EQ(std::get<RouterAdvertisement>(carried.parse().value()).prefix_count,
            RouterAdvertisement::kMaxPrefixes);
}

TEST(Ndp, MulticastTargetIsDropped) {
  for (const auto& sample :
       {packets::kNdpNeighbourSolicitation, packets::kNdpNeighbourAdvertisement}) {
    Carried carried(sample);
    carried.message = with(carried.message, 8, {0xff, 0x02});
    EXPECT_EQ(carried.reason(), DropReason::kNdpTargetMulticast);
  }
}

TEST(Ndp, RouterFromAGlobalAddressIsDropped) {
  for (const auto& sample : {packets::kNdpRouterAdvertisement, packets::kNdpRedirect}) {
    Carried carried(sample);
    carried.carrier.source = Ipv6Address(0x20010db800000000, 1);
    EXPECT_EQ(carried.reason(), DropReason::kNdpSourceNotLinkLocal);
  }
}

TEST(Ndp, ProbeToOtherThanASolicitedNodeAddressIsDropped) {
  Carried carried(packets::kNdpDuplicateAddressProbe);
  EXPECT_TRUE(carried.parse().has_value());
  carried.carrier.destination = kIpv6AllNodes;
  EXPECT_EQ(carried.reason(), DropReason::kNdpProbeDestination);
}

TEST(Ndp, LinkAddressFromTheUnspecifiedAddressIsDropped) {
  for (const auto& sample : {packets::kNdpNeighbourSolicitation, packets::kNdpRouterSolicitation}) {
    Carried carried(sample);
    carried.carrier.source = Ipv6Address();
    EXPECT_EQ(carried.reason(), DropReason::kNdpLinkAddressFromUnspecified);
  }
}

TEST(Ndp, SolicitedAdvertisementToAMulticastIsDropped) {
  Carried carried(packets::kNdpNeighbourAdvertisement);
  carried.carrier.destination = kIpv6AllNodes;
  EXPECT_EQ(carried.reason(), DropReason::kNdpSolicitedMulticast);
}

TEST(Ndp, RedirectToNonsenseIsDropped) {
  Carried target(packets::kNdpRedirect);
  target.message = with(target.message, 8, {0x20, 0x01});
  EXPECT_EQ(target.reason(), DropReason::kNdpRedirectTarget);
  Carried destination(packets::kNdpRedirect);
  destination.message = with(destination.message, 24, {0xff, 0x02});
  EXPECT_EQ(destination.reason(), DropReason::kNdpRedirectDestination);
}

}  // namespace
}  // namespace tideline::wire
