// SPDX-License-Identifier: Apache-2.0
#include "wire/ipv4.h"

#include <gtest/gtest.h>

#include "wire/checksum.h"
#include "wire/protocol.h"
#include "wire/test_bytes.h"
#include "wire/test_packets.h"

namespace tideline::wire {
namespace {

const ByteVector kUdp = from_hex(packets::kIpv4Udp.hex);

// Changes bytes of the header and makes its checksum right again.
ByteVector changed(ByteVector packet, std::size_t offset, std::initializer_list<unsigned> values) {
  packet = with(with(std::move(packet), offset, values), 10, {0, 0});
  const std::size_t size =
      std::min(packet.size(), (std::to_integer<std::size_t>(packet[0]) & 15U) * 4);
  const unsigned sum = checksum(Bytes(packet).first(size));
  return with(std::move(packet), 10, {sum >> 8, sum & 0xff});
}

// A packet with `options` and 16 bytes of payload.
ByteVector with_options(std::string_view options_hex) {
  const ByteVector options = from_hex(options_hex);
  Ipv4 ipv4{.total_length = static_cast<std::uint16_t>(20 + options.size() + 16),
            .protocol = kProtocolUdp,
            .source = Ipv4Address(192, 0, 2, 1),
            .destination = Ipv4Address(192, 0, 2, 2)};
  ipv4.options.size = static_cast<std::uint8_t>(options.size());
  std::ranges::copy(options, ipv4.options.bytes.begin());
  ByteVector packet(ipv4.total_length);
  emit(ipv4, packet);
  return packet;
}

DropReason reason_of(const ByteVector& packet) { return parse_ipv4(packet).error(); }

TEST(Ipv4, ReadsAHeader) {
  const auto ipv4 = parse_ipv4(kUdp).value();
  EXPECT_EQ(ipv4.total_length, 33);
  EXPECT_EQ(ipv4.payload_size(), 13U);
  EXPECT_EQ(ipv4.identification, 0x1234);
  EXPECT_EQ(ipv4.ttl, 64);
  EXPECT_EQ(ipv4.protocol, kProtocolUdp);
  EXPECT_EQ(ipv4.source, Ipv4Address(192, 0, 2, 1));
  EXPECT_EQ(ipv4.destination, Ipv4Address(192, 0, 2, 2));
  EXPECT_FALSE(ipv4.is_fragment() || ipv4.dont_fragment);
}

TEST(Ipv4, WritesWhatItRead) {
  for (const auto& sample : packets::kIpv4All) {
    const ByteVector packet = from_hex(sample.hex);
    const auto ipv4 = parse_ipv4(packet);
    if (!ipv4) {
      EXPECT_EQ(sample.name, packets::kIpv4SourceRoute.name);
      continue;
    }
    ByteVector written(ipv4->header_size());
    EXPECT_EQ(emit(*ipv4, written), written.size());
    EXPECT_EQ(written, cut(packet, written.size())) << sample.name;
  }
}

TEST(Ipv4, EthernetPaddingIsNotPayload) {
  EXPECT_EQ(parse_ipv4(kUdp + ByteVector(13))->payload_size(), 13U);
}

TEST(Ipv4, TruncatedAnywhereIsDropped) {
  for (std::size_t size = 0; size < kUdp.size(); ++size) {
    EXPECT_EQ(reason_of(cut(kUdp, size)),
              size < 20 ? DropReason::kIpv4Short : DropReason::kIpv4LengthBeyondFrame);
  }
}

TEST(Ipv4, HeaderBeyondTheFirstPieceIsNoticed) {
  const ByteVector packet = with_options("94040000");
  EXPECT_EQ(check_ipv4(Bytes(packet).first(19), packet.size()).error(),
            DropReason::kHeadersScattered);
  EXPECT_EQ(check_ipv4(Bytes(packet).first(23), packet.size()).error(),
            DropReason::kHeadersScattered);
  EXPECT_EQ(check_ipv4(Bytes(packet).first(24), packet.size()).value(), 24);
}

TEST(Ipv4, VersionOtherThan4IsDropped) {
  EXPECT_EQ(reason_of(changed(kUdp, 0, {0x65})), DropReason::kIpv4Version);
}

TEST(Ipv4, HeaderLengthBelow20IsDropped) {
  EXPECT_EQ(reason_of(changed(kUdp, 0, {0x44})), DropReason::kIpv4HeaderLength);
  EXPECT_EQ(reason_of(changed(kUdp, 0, {0x40})), DropReason::kIpv4HeaderLength);
}

TEST(Ipv4, HeaderLongerThanTheBytesReceivedIsDropped) {
  EXPECT_EQ(reason_of(changed(kUdp, 0, {0x4f})), DropReason::kIpv4HeaderBeyondPacket);
}

TEST(Ipv4, TotalLengthBelowTheHeaderIsDropped) {
  EXPECT_EQ(reason_of(changed(kUdp, 2, {0, 19})), DropReason::kIpv4LengthBelowHeader);
  EXPECT_EQ(reason_of(changed(with_options("94040000"), 2, {0, 23})),
            DropReason::kIpv4LengthBelowHeader);
}

TEST(Ipv4, TotalLengthBeyondTheFrameIsDropped) {
  EXPECT_EQ(reason_of(changed(kUdp, 2, {0, 34})), DropReason::kIpv4LengthBeyondFrame);
  EXPECT_EQ(reason_of(changed(kUdp, 2, {0xff, 0xff})), DropReason::kIpv4LengthBeyondFrame);
}

TEST(Ipv4, BadHeaderChecksumIsDropped) {
  EXPECT_EQ(reason_of(with(kUdp, 8, {63})), DropReason::kIpv4Checksum);
}

TEST(Ipv4, SourceThatNobodySendsFromIsDropped) {
  EXPECT_EQ(reason_of(changed(kUdp, 12, {0, 0, 0, 0})), DropReason::kIpv4SourceUnspecified);
  EXPECT_EQ(reason_of(changed(kUdp, 12, {224, 0, 0, 1})), DropReason::kIpv4SourceMulticast);
  EXPECT_EQ(reason_of(changed(kUdp, 12, {255, 255, 255, 255})), DropReason::kIpv4SourceBroadcast);
  EXPECT_EQ(reason_of(changed(kUdp, 12, {240, 0, 0, 1})), DropReason::kIpv4SourceReserved);
}

TEST(Ipv4, LoopbackOnAWireIsDropped) {
  EXPECT_EQ(reason_of(changed(kUdp, 12, {127, 0, 0, 1})), DropReason::kIpv4SourceLoopback);
  EXPECT_EQ(reason_of(changed(kUdp, 16, {127, 0, 0, 1})), DropReason::kIpv4DestinationLoopback);
}

TEST(Ipv4, TtlZeroIsAccepted) { EXPECT_EQ(parse_ipv4(changed(kUdp, 8, {0}))->ttl, 0); }

TEST(Ipv4, ReservedFlagIsIgnored) {
  const auto ipv4 = parse_ipv4(changed(kUdp, 6, {0x80, 0})).value();
  EXPECT_EQ(ipv4, parse_ipv4(kUdp).value());
}

// Every value of every octet of the header, checksum right and wrong.
TEST(Ipv4, PlainIsOnlyWhatTheChecksLetPass) {
  std::size_t plain = 0;
  for (std::size_t at = 0; at < sizeof(Ipv4Header); ++at) {
    for (unsigned value = 0; value < 256; ++value) {
      for (const ByteVector& packet : {changed(kUdp, at, {value}), with(kUdp, at, {value})}) {
        if (!is_plain_ipv4(packet, packet.size())) continue;
        ++plain;
        EXPECT_EQ(check_ipv4(packet, packet.size()), 20) << "octet " << at << " is " << value;
        EXPECT_FALSE(view_as<Ipv4Header>(Bytes(packet)).is_fragment());
      }
    }
  }
  EXPECT_GT(plain, 2000U);
  EXPECT_FALSE(is_plain_ipv4(cut(kUdp, 19), kUdp.size()));
}

TEST(Ipv4Options, LengthZeroOrOneIsDropped) {
  EXPECT_EQ(reason_of(with_options("5e000000")), DropReason::kIpv4OptionLength);
  EXPECT_EQ(reason_of(with_options("01015e01")), DropReason::kIpv4OptionLength);
}

TEST(Ipv4Options, RunningPastTheHeaderIsDropped) {
  EXPECT_EQ(reason_of(with_options("5e050000")), DropReason::kIpv4OptionBeyondHeader);
  EXPECT_EQ(reason_of(with_options("0101015e")), DropReason::kIpv4OptionBeyondHeader);
}

TEST(Ipv4Options, SourceRoutesAreDropped) {
  EXPECT_EQ(reason_of(with_options("83070400000000 00")), DropReason::kIpv4SourceRoute);
  EXPECT_EQ(reason_of(with_options("89070400000000 00")), DropReason::kIpv4SourceRoute);
  EXPECT_EQ(reason_of(from_hex(packets::kIpv4SourceRoute.hex)), DropReason::kIpv4SourceRoute);
}

TEST(Ipv4Options, RecordRouteOrTimestampPointerOutOfRangeIsDropped) {
  EXPECT_EQ(reason_of(with_options("07070300000000 00")), DropReason::kIpv4OptionPointer);
  EXPECT_EQ(reason_of(with_options("07070900000000 00")), DropReason::kIpv4OptionPointer);
  EXPECT_EQ(reason_of(with_options("0702 0000")), DropReason::kIpv4OptionLength);
  EXPECT_EQ(reason_of(with_options("44080400 00000000")), DropReason::kIpv4OptionPointer);
  EXPECT_EQ(reason_of(with_options("44080a00 00000000")), DropReason::kIpv4OptionPointer);
  // A full list points one past its end: RFC 791 §3.1.
  EXPECT_TRUE(parse_ipv4(with_options("07070800000000 00")).has_value());
  EXPECT_TRUE(parse_ipv4(with_options("44080500 00000000")).has_value());
}

// RFC 1122 §3.2.2.5, RFC 792: the octet where an error was found.
TEST(Ipv4Options, WhereAProblemIs) {
  const auto at = [](std::string_view options) {
    return ipv4_option_problem_at(from_hex(std::string(40, '0')) + from_hex(options));
  };
  EXPECT_EQ(at("5e000000"), 21);
  EXPECT_EQ(at("01015e01"), 23);
  EXPECT_EQ(at("5e050000"), 21);
  EXPECT_EQ(at("0101015e"), 23);
  EXPECT_EQ(at("5e0401020707030000000000"), 26);
  EXPECT_EQ(at("94060000 00000000"), 21);
  EXPECT_EQ(at("83070400000000 00"), std::nullopt);
  EXPECT_EQ(at("5e040102"), std::nullopt);
  EXPECT_EQ(at("00ff0000"), std::nullopt);
  EXPECT_EQ(at(""), std::nullopt);
}

TEST(Ipv4Options, UnknownOnesArePassedOver) {
  const auto ipv4 = parse_ipv4(with_options("5e060102 0304 9404 0007 0000")).value();
  EXPECT_EQ(ipv4.options.router_alert(), 7);
  EXPECT_EQ(ipv4.payload_size(), 16U);
}

TEST(Ipv4Options, NothingBehindTheEndIsRead) {
  const auto ipv4 = parse_ipv4(with_options("00ff0000 94040000")).value();
  EXPECT_FALSE(ipv4.options.router_alert().has_value());
}

TEST(Ipv4Options, RouterAlert) {
  EXPECT_EQ(parse_ipv4(from_hex(packets::kIpv4RouterAlert.hex))->options,
            Ipv4Options::with_router_alert());
  EXPECT_EQ(reason_of(with_options("94060000 00000000")), DropReason::kIpv4OptionLength);
}

TEST(Ipv4Fragments, OffsetPlusLengthBeyond65535IsDropped) {
  // 13 bytes at 65528, the last one.
  EXPECT_EQ(reason_of(changed(kUdp, 6, {0x1f, 0xff})), DropReason::kIpv4FragmentBeyondMaximum);
  // The header counts as well: 20 + 65504 + 13 is one too many, 8 less fits.
  EXPECT_EQ(reason_of(changed(kUdp, 6, {0x1f, 0xfc})), DropReason::kIpv4FragmentBeyondMaximum);
  EXPECT_EQ(parse_ipv4(changed(kUdp, 6, {0x1f, 0xfb}))->fragment_offset, 65496);
}

TEST(Ipv4Fragments, NonLastWithLengthNoMultipleOf8IsDropped) {
  EXPECT_EQ(reason_of(changed(kUdp, 6, {0x20, 0})), DropReason::kIpv4FragmentUnaligned);
  EXPECT_TRUE(parse_ipv4(changed(cut(kUdp, 28), 2, {0, 28, 0, 0, 0x20, 0}))->more_fragments);
}

TEST(Ipv4Fragments, EmptyPayloadIsDropped) {
  EXPECT_EQ(reason_of(changed(kUdp, 2, {0, 20, 0, 0, 0x20, 0})), DropReason::kIpv4FragmentEmpty);
  EXPECT_EQ(reason_of(changed(kUdp, 2, {0, 20, 0, 0, 0, 8})), DropReason::kIpv4FragmentEmpty);
}

TEST(Ipv4Fragments, DontFragmentIsNoFragment) {
  const auto whole = parse_ipv4(changed(kUdp, 6, {0x40, 0})).value();
  EXPECT_TRUE(whole.dont_fragment);
  EXPECT_FALSE(whole.is_fragment());
  const auto both = parse_ipv4(changed(cut(kUdp, 28), 2, {0, 28, 0, 0, 0x60, 0})).value();
  EXPECT_TRUE(both.dont_fragment && both.is_fragment());
}

}  // namespace
}  // namespace tideline::wire
