// SPDX-License-Identifier: Apache-2.0
#include "wire/udp.h"

#include <gtest/gtest.h>

#include "wire/protocol.h"
#include "wire/test_bytes.h"
#include "wire/test_packets.h"

namespace tideline::wire {
namespace {

const ByteVector kOverIpv4 = from_hex(packets::kUdpOverIpv4.hex);
const ByteVector kOverIpv6 = from_hex(packets::kUdpOverIpv6.hex);

DropReason reason_of(const ByteVector& payload) { return parse_udp(payload).error(); }

PartialChecksum sum_ipv4(const ByteVector& datagram) {
  auto sum = pseudo_header(Ipv4Address(192, 0, 2, 1), Ipv4Address(192, 0, 2, 2), kProtocolUdp,
                           static_cast<std::uint32_t>(datagram.size()));
  sum.add(datagram);
  return sum;
}

PartialChecksum sum_ipv6(const ByteVector& datagram) {
  auto sum = pseudo_header(Ipv6Address(0x20010db800000000, 1), Ipv6Address(0x20010db800000000, 2),
                           kProtocolUdp, static_cast<std::uint32_t>(datagram.size()));
  sum.add(datagram);
  return sum;
}

TEST(Udp, ReadsAndWritesADatagram) {
  const auto udp = parse_udp(kOverIpv4).value();
  EXPECT_EQ(udp.source_port, 5353);
  EXPECT_EQ(udp.destination_port, 4242);
  EXPECT_EQ(udp.length, 13);
  ByteVector written(8);
  EXPECT_EQ(emit(udp, written), 8U);
  EXPECT_EQ(written, cut(kOverIpv4, 8));
}

TEST(Udp, TruncatedHeaderIsDropped) {
  for (std::size_t size = 0; size < 8; ++size) {
    EXPECT_EQ(reason_of(cut(kOverIpv4, size)), DropReason::kUdpShort);
    EXPECT_EQ(check_udp(Bytes(kOverIpv4).first(size), kOverIpv4.size()).error(),
              DropReason::kHeadersScattered);
  }
}

TEST(Udp, LengthBelow8IsDropped) {
  EXPECT_EQ(reason_of(with(kOverIpv4, 4, {0, 7})), DropReason::kUdpLengthBelowHeader);
  EXPECT_EQ(reason_of(with(kOverIpv4, 4, {0, 0})), DropReason::kUdpLengthBelowHeader);
}

TEST(Udp, LengthBeyondTheIpPayloadIsDropped) {
  EXPECT_EQ(reason_of(with(kOverIpv4, 4, {0, 14})), DropReason::kUdpLengthBeyondPacket);
}

TEST(Udp, LengthBelowTheIpPayloadRules) {
  EXPECT_EQ(parse_udp(with(kOverIpv4, 4, {0, 9}))->length, 9);
}

TEST(Udp, DestinationPort0IsDroppedAndSourcePort0IsLegal) {
  EXPECT_EQ(reason_of(with(kOverIpv4, 2, {0, 0})), DropReason::kUdpDestinationPortZero);
  EXPECT_EQ(parse_udp(with(kOverIpv4, 0, {0, 0}))->source_port, 0);
}

TEST(Udp, GoodChecksumIsAccepted) {
  EXPECT_TRUE(check_udp_checksum(parse_udp(kOverIpv4).value(), sum_ipv4(kOverIpv4),
                                 UdpChecksumRule::kOptional)
                  .has_value());
  EXPECT_TRUE(check_udp_checksum(parse_udp(kOverIpv6).value(), sum_ipv6(kOverIpv6),
                                 UdpChecksumRule::kRequired)
                  .has_value());
}

TEST(Udp, BadChecksumIsDropped) {
  const ByteVector bad = with(kOverIpv4, 12, {0x00});
  EXPECT_EQ(
      check_udp_checksum(parse_udp(bad).value(), sum_ipv4(bad), UdpChecksumRule::kOptional).error(),
      DropReason::kUdpChecksum);
}

TEST(Udp, Checksum0IsAcceptedOverIpv4AndDroppedOverIpv6) {
  const ByteVector none = with(kOverIpv4, 6, {0, 0});
  const auto udp = parse_udp(none).value();
  EXPECT_TRUE(check_udp_checksum(udp, sum_ipv4(none), UdpChecksumRule::kOptional).has_value());
  EXPECT_EQ(check_udp_checksum(udp, sum_ipv6(none), UdpChecksumRule::kRequired).error(),
            DropReason::kUdpChecksumMissing);
}

TEST(Udp, AComputed0IsSentAsAllOnes) {
  EXPECT_EQ(udp_checksum_field(0), 0xffff);
  EXPECT_EQ(udp_checksum_field(1), 1);
}

}  // namespace
}  // namespace tideline::wire
